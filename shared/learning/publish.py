"""Put bundles into the bucket, and say which one serves.

A bundle is written once, its manifest last, so a manifest vouches for a whole bundle. The pointer is changed only at
the generation that was read, so of several who try at once one wins and the others change nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from shared.errors import BundleRefused, Misconfigured, PreconditionFailed
from shared.ports import Blobs
from shared.scoring.bundle import FILES, MANIFEST, POINTER, Pointer, path
from shared.scoring.champion import read_bundle


class Standing(msgspec.Struct, frozen=True):
    """The pointer as it was read; without one, `pointer` is None and `generation` 0."""

    pointer: Pointer | None
    generation: int

    @property
    def version(self) -> str | None:
        """The version that serves."""
        return self.pointer.version if self.pointer else None


def standing(blobs: Blobs) -> Standing:
    """Return what the pointer says. Raises BundleRefused if it cannot be read as one, Unavailable."""
    blob = blobs.read(POINTER)
    if blob is None:
        return Standing(None, 0)
    try:
        return Standing(msgspec.json.decode(blob.data, type=Pointer), blob.generation)
    except msgspec.MsgspecError as error:
        raise BundleRefused(f"{POINTER} is not a pointer: repair or delete it ({error})") from error


def publish(blobs: Blobs, version: str, files: Mapping[str, bytes]) -> None:
    """Write a bundle; going on after an interruption is safe. Raises PreconditionFailed, Unavailable."""
    for name in (*FILES, MANIFEST):
        _write(blobs, path(version, name), files[name], if_generation=0)


def swap(blobs: Blobs, version: str, now: dt.datetime, read: Standing) -> None:
    """Let `version` serve, if the pointer still stands as it was read.

    The bundle is read back and proved first. Raises PreconditionFailed if somebody else moved the pointer,
    BundleRefused, Unavailable.
    """
    read_bundle(blobs, version)
    pointer = Pointer(version=version, swapped_at=now.isoformat(), previous=read.version)
    try:
        _write(blobs, POINTER, msgspec.json.encode(pointer), read.generation)
    except PreconditionFailed as error:
        raise PreconditionFailed(
            f"the pointer moved since it named {read.version or 'no model'}; nothing was changed"
        ) from error


def previous(read: Standing) -> str:
    """Return the version that served before. Raises Misconfigured if there is none."""
    if read.pointer is None or read.pointer.previous is None:
        raise Misconfigured("the pointer names no previous version; use jobs.promote with a version")
    return read.pointer.previous


def _write(blobs: Blobs, name: str, data: bytes, if_generation: int) -> None:
    """Write an object, content to find exactly these bytes: an earlier attempt may have lost only its answer."""
    try:
        blobs.write(name, data, if_generation)
    except PreconditionFailed:
        present = blobs.read(name)
        if present is None or present.data != data:
            raise
