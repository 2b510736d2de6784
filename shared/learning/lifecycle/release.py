"""Publish bundles and move the pointer, and write both down.

A job may be killed between any two of these steps, so their order matters: first what the ledger's row is made of,
then the row. What is missing then, `reconcile` appends from the bucket.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared.errors import Misconfigured, Unavailable
from shared.learning.lifecycle.pointer import MoveCause, PointerState, Swapped, publish, swap
from shared.learning.lifecycle.reconcile import moved_row, published_row
from shared.learning.ports import Ledger, Registry
from shared.ports import Blobs
from shared.scoring.bundle import Manifest, Move, Pointer

log = logging.getLogger(__name__)


class ReleasePorts(NamedTuple):
    """What a release touches; the registry is opened only once the pointer has moved."""

    blobs: Blobs
    ledger: Ledger
    registry: Callable[[], Registry]


def release(places: ReleasePorts, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Publish a bundle and write it down. Raises PreconditionFailed, Unavailable."""
    publish(places.blobs, manifest.version, files)
    places.ledger.append(published_row(manifest))


def serve(
    places: ReleasePorts, read: PointerState, version: str, cause: MoveCause, unrecorded: Sequence[Move] = ()
) -> tuple[Swapped, bool]:
    """Let `version` serve, write it down, and return whether that could be done: the next job else does it.

    Raises PreconditionFailed, BundleRefused, Unavailable; then nothing has changed.
    """
    swapped = swap(places.blobs, read, version, cause, unrecorded)
    known = recorded(places.ledger, swapped)
    appointed(places.registry, swapped.pointer)
    return swapped, known


def recorded(ledger: Ledger, swapped: Swapped) -> bool:
    """Append the row of a move, and return whether that was done: the next job else does it, from the pointer."""
    try:
        ledger.append(moved_row(swapped.pointer, swapped.manifest))
    except Unavailable as error:
        log.warning("not in the ledger yet", extra={"fields": {"reason": str(error)}})
        return False
    return True


def appointed(registry: Callable[[], Registry], pointer: Pointer) -> None:
    """Let the aliases follow the pointer, which is what serves: a registry that is away stands in nobody's way."""
    try:
        registry().set_champion(pointer.version, pointer.previous)
    except (Unavailable, Misconfigured) as error:
        fields = {"version": pointer.version, "reason": str(error)}
        log.warning("aliases are as before", extra={"fields": fields})
