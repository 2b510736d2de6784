"""Publish bundles, move the pointer, and record both in the ledger.

A job may be killed between any two of these steps, so their order matters: first the objects from which the ledger
row can be rebuilt, then the row. `reconcile` appends a row that is then missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared.errors import Misconfigured, Unavailable
from shared.learning.lifecycle.ledger import move_row, publish_row
from shared.learning.lifecycle.pointer import CompletedSwap, MoveCause, PointerState, publish, swap
from shared.learning.ports import Ledger, Registry
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Manifest, Move, Pointer

log = logging.getLogger(__name__)


class ReleasePorts(NamedTuple):
    """The ports of a release; `registry` is called only after the pointer has moved."""

    blobs: Blobs
    ledger: Ledger
    registry: Callable[[], Registry]


def publish_and_record(ports: ReleasePorts, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Publish a bundle and append its ledger row. Raises PreconditionFailed, Unavailable."""
    publish(ports.blobs, manifest.version, files)
    ports.ledger.append(publish_row(manifest))


def swap_and_record(
    ports: ReleasePorts, state: PointerState, version: str, cause: MoveCause, unrecorded: Sequence[Move] = ()
) -> tuple[CompletedSwap, bool]:
    """Point to `version`, and return whether the ledger was written; otherwise the next job writes it.

    Raises PreconditionFailed, BundleRefused, Unavailable; then nothing has changed.
    """
    swapped = swap(ports.blobs, state, version, cause, unrecorded)
    recorded = record_swap(ports.ledger, swapped)
    set_aliases(ports.registry, swapped.pointer)
    return swapped, recorded


def record_swap(ledger: Ledger, swapped: CompletedSwap) -> bool:
    """Append the row of a swap, and return whether the ledger was written; otherwise the next job writes it."""
    try:
        ledger.append(move_row(swapped.pointer, swapped.manifest))
    except Unavailable as error:
        log.warning("not in the ledger yet", extra={"fields": {"reason": str(error)}})
        return False
    return True


def set_aliases(registry: Callable[[], Registry], pointer: Pointer) -> None:
    """Set the registry's aliases to the versions in the pointer, if the registry can be reached.

    Functions read the pointer only, so an unavailable registry must not stop a move; the next job sets the aliases.
    """
    try:
        registry().set_champion(pointer.version, pointer.previous)
    except (Unavailable, Misconfigured) as error:
        fields = {"version": pointer.version, "reason": str(error)}
        log.warning("aliases are unchanged", extra={"fields": fields})
