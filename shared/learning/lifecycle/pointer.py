"""Put bundles into the bucket, and say which one serves.

A bundle is written once, its manifest last, so a manifest vouches for a whole bundle. The pointer is changed only at
the generation that was read, so of several who try at once one wins and the others change nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from shared.errors import BundleRefused, Misconfigured, PreconditionFailed
from shared.ports import Blobs
from shared.scoring.bundle import FILES, MANIFEST, POINTER, VERSION, Manifest, Move, Pointer, path
from shared.scoring.champion import read_bundle

REASON_MAX = 2_000  # characters; every function reads the pointer


class PointerState(Struct, frozen=True):
    """The pointer as it was read; without one, `pointer` is None and `generation` 0."""

    pointer: Pointer | None
    generation: int

    @property
    def version(self) -> str | None:
        """The version that serves."""
        return self.pointer.version if self.pointer else None


class MoveCause(NamedTuple):
    """Why the pointer is moved, by whom, and when."""

    at: dt.datetime
    actor: str
    reason: str
    action: Literal["SWAP", "ROLLBACK"] = "SWAP"


class Swapped(NamedTuple):
    """The pointer as it was written, and where the model that it names comes from."""

    pointer: Pointer
    manifest: Manifest


def standing(blobs: Blobs) -> PointerState:
    """Return what the pointer says. Raises BundleRefused if it cannot be read as one, Unavailable."""
    blob = blobs.read(POINTER)
    if blob is None:
        return PointerState(None, 0)
    try:
        pointer = msgspec.json.decode(blob.data, type=Pointer)
        instant(pointer.swapped_at)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BundleRefused(f"{POINTER} is not a pointer: repair or delete it ({error})") from error
    return PointerState(pointer, blob.generation)


def instant(text: str) -> dt.datetime:
    """Return the moment that ISO 8601 text tells; without an offset it is UTC. Raises ValueError.

    >>> instant("2026-11-20T14:32:05")
    datetime.datetime(2026, 11, 20, 14, 32, 5, tzinfo=datetime.timezone.utc)
    """
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def publish(blobs: Blobs, version: str, files: Mapping[str, bytes]) -> None:
    """Write a bundle; going on after an interruption is safe. Raises PreconditionFailed, Unavailable."""
    for name in (*FILES, MANIFEST):
        _write(blobs, path(version, name), files[name], if_generation=0)


def swap(
    blobs: Blobs, read: PointerState, version: str, cause: MoveCause, unrecorded: Sequence[Move] = ()
) -> Swapped:
    """Let `version` serve, if the pointer still says what was read; `unrecorded` are moves the ledger may lack.

    The bundle is read back and proved first. Raises PreconditionFailed if somebody else moved the pointer,
    BundleRefused, Unavailable.
    """
    while True:
        manifest = _proved(blobs, read, version)
        pointer = Pointer(
            version=version,
            swapped_at=cause.at.isoformat(),
            previous=read.version,
            action=cause.action,
            actor=cause.actor,
            reason=cause.reason[:REASON_MAX],
            unrecorded=list(unrecorded),
            retiring=read.pointer.retiring if read.pointer else [],
        )
        try:
            write_pointer(blobs, pointer, read)
        except PreconditionFailed as error:
            read = _untouched(blobs, read, error)
        else:
            return Swapped(pointer, manifest)


def write_pointer(blobs: Blobs, pointer: Pointer, read: PointerState) -> None:
    """Write the pointer if it still stands as it was read. Raises PreconditionFailed, Unavailable."""
    _write(blobs, POINTER, msgspec.json.encode(pointer), read.generation)


def previous(read: PointerState) -> str:
    """Return the version that served before. Raises Misconfigured if there is none."""
    if read.pointer is None or read.pointer.previous is None:
        raise Misconfigured("the pointer names no previous version; use jobs.promote with a version")
    return read.pointer.previous


def moves(read: PointerState) -> list[Move]:
    """Return the moves that the pointer tells of, the last one last."""
    if read.pointer is None:
        return []
    last = Move(*(getattr(read.pointer, name) for name in Move.__struct_fields__))
    return [*read.pointer.unrecorded, last]


def _proved(blobs: Blobs, read: PointerState, version: str) -> Manifest:
    if not re.fullmatch(VERSION, version):
        raise BundleRefused(f"{version!r} is not the name of a version")
    if read.pointer and version in read.pointer.retiring:
        raise BundleRefused(f"{version} is being retired")
    return read_bundle(blobs, version).manifest


def _untouched(blobs: Blobs, read: PointerState, error: PreconditionFailed) -> PointerState:
    """Return the pointer as it stands now, if only what it says of retirement has changed."""
    now = standing(blobs)
    if moves(now)[-1:] == moves(read)[-1:]:
        return now
    raise PreconditionFailed(
        f"the pointer moved since it named {read.version or 'no model'}; nothing was changed"
    ) from error


def _write(blobs: Blobs, name: str, data: bytes, if_generation: int) -> None:
    """Write an object, content to find exactly these bytes: an earlier attempt may have lost only its answer."""
    try:
        blobs.write(name, data, if_generation)
    except PreconditionFailed:
        present = blobs.read(name)
        if present is None or present.data != data:
            raise
