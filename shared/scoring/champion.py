"""The serving model, which follows the pointer in the bucket."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from shared.errors import BundleRefused, Unavailable, Untrusted
from shared.ports.blobs import Blob, Blobs
from shared.scoring.bundle import MANIFEST, POINTER, Bundle, Manifest, Pointer, served
from shared.scoring.bundle_files import decoded
from shared.scoring.challenge import Challenge
from shared.scoring.verified_file import read_file
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import MODEL, MODEL_CREATED, REFUSED, SWAPS, Metrics

log = logging.getLogger(__name__)

STALE_TTLS = 3
"""Age of the last look at the pointer, in `ttl`, at which a batch waits for the next one: the instance was idle."""
LOOK_SECONDS = 1.0
"""Time that a batch waits for a look at the pointer; a swap takes a tenth of it, and Pub/Sub waits for 60 s."""
KEPT = 3  # versions in memory: the champion, and earlier ones that may have decided a redelivered Pix


class Champion:
    """Hold the bundle named by `models/current.json`, and read the pointer again after `ttl` seconds.

    A pointer or bundle that is unreadable or refused changes nothing: the current model keeps serving, with one line
    in the log for each version. `beside` looks at another object of the bucket, with each look at the pointer.
    """

    def __init__(
        self,
        blobs: Blobs,
        ttl: float,
        clock: Callable[[], float],
        metrics: Metrics,
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        self._blobs = blobs
        self._beside = beside
        self._ttl = ttl
        self._clock = clock
        self._metrics = metrics
        self._away = Incident(log, "bucket unavailable", clock)
        self._missing = Incident(log, "version not to be had", clock)
        self._looked_at = self._gave_up_at = -float("inf")
        self._generation: int | None = None
        self._answered = False
        self._bundles: dict[str, Bundle] = {}
        self._gone: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._challenge: tuple[str, Challenge] | None = None
        self.current: Bundle | None = None

    async def current_now(self) -> Bundle | None:
        """Return the model that serves, and start a look at the pointer in a thread if the last one is too old.

        After a pause of STALE_TTLS the model may have been rolled back meanwhile, so the look is awaited, for
        LOOK_SECONDS at most. Without an answer by then, the model in memory decides, and one line in the log says so.
        """
        end = asyncio.get_running_loop().time() + LOOK_SECONDS
        self._look_if_due()
        while self._looking is not None and self._is_stale():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                self._gave_up_at = self._clock()
                self._away.trigger(reason="no answer in time for a batch", serving=self._serving())
                break
            await asyncio.wait({self._looking}, timeout=left)
            self._look_if_due()  # again, if this look began before the pause and was frozen with it
        return self.current

    async def reach(self) -> None:
        """Look until the bucket has answered once, with no pointer or with a bundle, whole or refused.

        Raises Unavailable if this look has no answer either.
        """
        if self._answered:
            return
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_aside())
        await self._looking
        if not self._answered:
            raise Unavailable("the bucket of models does not answer")

    def _is_stale(self) -> bool:
        return self._clock() - max(self._looked_at, self._gave_up_at) >= STALE_TTLS * self._ttl

    def _look_if_due(self) -> None:
        if self._looking is None and self._clock() - self._looked_at >= self._ttl:
            self._looking = asyncio.create_task(self._look_aside())

    def look(self) -> None:
        """Read the pointer, and the bundle if the pointer has moved; never raises for the contents of the bucket."""
        began = self._clock()
        try:
            self._beside()
            self._look()
        finally:
            self._looked_at = began

    def _look(self) -> None:
        try:
            pointer = self._blobs.read(POINTER)
        except Unavailable as error:
            self._away.trigger(reason=str(error), serving=self._serving())
            return
        except Untrusted as error:
            if error.generation != self._generation:
                self._refuse("pointer refused", str(error))
            self._generation, self._answered = error.generation, True
            return
        self._away.resolve()
        if pointer is None or pointer.generation == self._generation or self._follow(pointer):
            self._answered = True

    def _follow(self, pointer: Blob) -> bool:
        """Swap to the version of a new pointer, or log the reason not to; a refused pointer is not read again.

        Return whether the bucket answered.
        """
        version = None
        try:
            named = msgspec.json.decode(pointer.data, type=Pointer)
            version = named.version
            self._swap_to(version)
            self._challenge = (version, named.challenge) if named.challenge else None
        except Unavailable as error:
            self._away.trigger(reason=str(error), version=version, serving=self._serving())
            return False
        except BundleRefused as error:
            self._refuse("model refused", str(error), version)
        except Exception as error:  # noqa: BLE001 (no content of the pointer may stop a function)
            self._refuse("pointer refused", type(error).__name__)
        self._generation = pointer.generation
        return True

    def _refuse(self, message: str, reason: str, version: str | None = None) -> None:
        self._metrics.add(REFUSED)
        log.error(message, extra={"fields": {"reason": reason, "version": version, "serving": self._serving()}})

    def challenge(self) -> Challenge | None:
        """Return the test that the pointer names beside the model that serves here, None if there is none."""
        known = self._challenge
        return known[1] if known and known[0] == self._serving() else None

    def version(self, name: str) -> Bundle | None:
        """Return the bundle of that version, None if there is none or it is refused.

        Raises Unavailable if it is not in memory; it is then fetched in a thread, for the next delivery.
        """
        known = self._bundles.get(name)
        if known is not None or name in self._gone:
            return known
        if name not in self._fetching:
            self._fetching[name] = asyncio.create_task(self._fetch(name))
        raise Unavailable(f"{name} is not in memory yet")

    async def _fetch(self, name: str) -> None:
        try:
            self._keep(await asyncio.to_thread(read_bundle, self._blobs, name))
        except BundleRefused as error:
            self._gone.add(name)
            self._missing.trigger(version=name, reason=str(error))
        except Unavailable as error:
            self._missing.trigger(version=name, reason=str(error))
        finally:
            del self._fetching[name]

    async def _look_aside(self) -> None:
        try:
            await asyncio.to_thread(self.look)
        finally:
            self._looking = None

    def _swap_to(self, version: str) -> None:
        bundle = self._bundles.get(version) or read_bundle(self._blobs, version)
        before = self._serving()
        if before == version:
            return
        self._keep(bundle)
        self.current = bundle
        if before is not None:
            self._metrics.set(MODEL, 0, before)
        self._metrics.set(MODEL, 1, version)
        with suppress(ValueError):  # who made a bundle may have left its time out
            self._metrics.set(MODEL_CREATED, dt.datetime.fromisoformat(bundle.manifest.created_at).timestamp())
        self._metrics.add(SWAPS)
        log.info("model swapped", extra={"fields": {"from": before, "to": version}})

    def _keep(self, bundle: Bundle) -> None:
        bundles = {name: kept for name, kept in self._bundles.items() if name != bundle.version}
        bundles[bundle.version] = bundle
        tried = self._challenge[1].version if self._challenge else None
        for name in list(bundles)[:-KEPT]:
            if bundles[name] is not self.current and name != tried:
                del bundles[name]
        self._bundles = bundles  # replaced, not changed: a thread may be reading it

    def _serving(self) -> str | None:
        return self.current.version if self.current else None


def read_bundle(blobs: Blobs, version: str) -> Bundle:
    """Return a verified version from the bucket. Raises BundleRefused, Unavailable."""
    return bundle_of(read_files(blobs, version), version)


def bundle_of(files: Mapping[str, bytes], version: str) -> Bundle:
    """Return the bundle in files that were read for a version. Raises BundleRefused."""
    bundle = Bundle(files)
    if bundle.version != version:
        raise BundleRefused(f"the manifest of {version} names another version")
    return bundle


def read_files(blobs: Blobs, version: str) -> dict[str, bytes]:
    """Return the files of a version that are served, and its manifest. Raises BundleRefused, Unavailable."""
    files = {MANIFEST: read_file(blobs, version, MANIFEST)}
    for name in served(decoded(files, MANIFEST, Manifest)):
        files[name] = read_file(blobs, version, name)
    return files
