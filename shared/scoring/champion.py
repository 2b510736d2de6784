"""The model that serves now, kept in step with the pointer in the bucket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from shared.errors import BundleRefused, Unavailable
from shared.ports import Blobs
from shared.scoring.bundle import MANIFEST, POINTER, SERVED, Bundle, Pointer, path

log = logging.getLogger(__name__)

KEPT = 3  # versions in memory: the champion, and those that a redelivered Pix may have been decided by


class Champion:
    """Hold the bundle that `models/current.json` names; look again once `ttl` seconds have passed.

    A pointer or bundle that cannot be read or is refused changes nothing: the model that serves goes on, and the log
    says so once for each version.
    """

    def __init__(self, blobs: Blobs, ttl: float, clock: Callable[[], float]) -> None:
        self._blobs = blobs
        self._ttl = ttl
        self._clock = clock
        self._looked_at = -float("inf")
        self._generation: int | None = None
        self._bundles: dict[str, Bundle] = {}
        self._looking: asyncio.Task[None] | None = None
        self.current: Bundle | None = None

    def look_if_due(self) -> None:
        """Start looking at the pointer, beside the requests in flight, if the last look is older than the TTL."""
        if self._looking is None and self._clock() - self._looked_at >= self._ttl:
            self._looking = asyncio.create_task(self._look_aside())

    def look(self) -> None:
        """Read the pointer, and the bundle if it is another one; never raises for what the bucket holds."""
        self._looked_at = self._clock()
        try:
            pointer = self._blobs.read(POINTER)
            if pointer is None or pointer.generation == self._generation:
                return
            self._swap_to(msgspec.json.decode(pointer.data, type=Pointer).version)
            self._generation = pointer.generation
        except msgspec.MsgspecError:
            log.error("pointer refused", extra={"fields": {"object": POINTER, "serving": self._serving()}})
            self._generation = pointer.generation if pointer else None
        except BundleRefused as error:
            log.error("model refused", extra={"fields": {"reason": str(error), "serving": self._serving()}})
            self._generation = pointer.generation if pointer else None
        except Unavailable as error:
            log.warning("bucket unavailable", extra={"fields": {"reason": str(error), "serving": self._serving()}})

    async def version(self, name: str) -> Bundle | None:
        """Return the bundle of that version, read from the bucket if need be; None if it cannot be had."""
        if name in self._bundles:
            return self._bundles[name]
        try:
            bundle = await asyncio.to_thread(read_bundle, self._blobs, name)
        except (BundleRefused, Unavailable) as error:
            log.warning("version not to be had", extra={"fields": {"version": name, "reason": str(error)}})
            return None
        self._keep(bundle)
        return bundle

    async def _look_aside(self) -> None:
        try:
            await asyncio.to_thread(self.look)
        finally:
            self._looking = None

    def _swap_to(self, version: str) -> None:
        bundle = self._bundles.get(version) or read_bundle(self._blobs, version)
        before = self._serving()
        self._keep(bundle)
        self.current = bundle
        log.info("model swapped", extra={"fields": {"from": before, "to": version}})

    def _keep(self, bundle: Bundle) -> None:
        self._bundles.pop(bundle.version, None)
        self._bundles[bundle.version] = bundle
        for name in list(self._bundles)[:-KEPT]:
            if self._bundles[name] is not self.current:
                del self._bundles[name]

    def _serving(self) -> str | None:
        return self.current.version if self.current else None


def read_bundle(blobs: Blobs, version: str) -> Bundle:
    """Return a version from the bucket, checked. Raises BundleRefused, Unavailable."""
    files = {}
    for name in (MANIFEST, *SERVED):
        blob = blobs.read(path(version, name))
        if blob is None:
            raise BundleRefused(f"{version}: {name} is missing")
        files[name] = blob.data
    bundle = Bundle(files)
    if bundle.version != version:
        raise BundleRefused(f"the manifest under {version} names another version")
    return bundle
