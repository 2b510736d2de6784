"""Finish what a job that was killed has left behind.

Bundle and pointer are written before the ledger, and each holds what its ledger row needs: so a row that is missing
can be appended by whoever comes next. Nobody moves the pointer before the row of the last move is there; where the
ledger is away, the pointer carries the move on. Two jobs may both find a row missing, and then append it twice: the
same row in every column, which is read as one.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

import msgspec

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import Unavailable
from shared.learning.lifecycle.pointer import PointerState, instant, moves
from shared.learning.ports import Ledger, Registry, Runs
from shared.ports import Blobs, Shelf
from shared.scoring.bundle import MANIFEST, Manifest, Move, path

log = logging.getLogger(__name__)

STALE_AFTER = dt.timedelta(days=1)
"""A run that is open for longer has lost its job: a retraining takes minutes."""
_CLOCK_SKEW = dt.timedelta(days=1)  # between the job that made a bundle and the bucket, and the time in between


def moved_row(move: Move, manifest: Manifest | None) -> LedgerRow:
    """Return the ledger's row of a move; without a manifest what it knows of the training is left out."""
    row = LedgerRow(
        recorded_at=micros(instant(move.swapped_at)),
        action=move.action,
        actor=move.actor,
        reason=move.reason,
        from_version=move.previous,
        to_version=move.version,
    )
    return with_training(row, manifest) if manifest else row


def published_row(manifest: Manifest) -> LedgerRow:
    """Return the ledger's row of a bundle that was published."""
    row = LedgerRow(
        recorded_at=micros(instant(manifest.created_at)),
        action="PUBLISH",
        actor=manifest.actor,
        reason=f"trained by {manifest.trigger or 'hand'}",
        to_version=manifest.version,
    )
    return with_training(row, manifest)


def with_training(row: LedgerRow, manifest: Manifest) -> LedgerRow:
    """Return a row with what the manifest says of the training."""
    return msgspec.structs.replace(
        row,
        run_id=manifest.run_id,
        dataset_hash=manifest.dataset_hash,
        metrics=msgspec.json.encode(manifest.metrics).decode(),
        trigger=manifest.trigger,
        as_of=micros(instant(manifest.as_of)) if manifest.as_of else None,
    )


def unrecorded(blobs: Blobs, ledger: Ledger, read: PointerState) -> list[Move]:
    """Append the rows of those moves in the pointer that the ledger lacks, and return these moves.

    Raises Unavailable; then it is not known which the ledger lacks.
    """
    told = moves(read)
    if not told:
        return []
    known = {(row.recorded_at, row.to_version) for row in ledger.rows(min(instant(move.swapped_at) for move in told))}
    missing = [move for move in told if (micros(instant(move.swapped_at)), move.version) not in known]
    for move in missing:
        ledger.append(moved_row(move, manifest_of(blobs, move.version)))
        _say("move", move.version)
    return missing


def unpublished(blobs: Blobs, shelf: Shelf, ledger: Ledger) -> list[str]:
    """Append the rows of those whole bundles that the ledger does not know, and return their versions.

    Raises Unavailable.
    """
    whole = {item.name.split("/")[1]: item for item in shelf.listed("models/") if item.name.endswith(f"/{MANIFEST}")}
    if not whole:
        return []
    since = min(item.updated_at for item in whole.values()) - _CLOCK_SKEW
    known = {row.to_version for row in ledger.rows(since) if row.action == "PUBLISH"}
    missing = [manifest for version in sorted(whole.keys() - known) if (manifest := manifest_of(blobs, version))]
    for manifest in missing:
        ledger.append(published_row(manifest))
        _say("publication", manifest.version)
    return [manifest.version for manifest in missing]


def reconcile(
    blobs: Blobs, shelf: Shelf, ledger: Ledger, runs: Runs, registry: Registry, read: PointerState, now: dt.datetime
) -> None:
    """Make ledger, registry and runs agree with the bucket. Doing it again changes nothing. Raises Unavailable."""
    unrecorded(blobs, ledger, read)
    unpublished(blobs, shelf, ledger)
    if read.pointer:
        registry.set_champion(read.pointer.version, read.pointer.previous)
    for run_id in runs.close_stale(now - STALE_AFTER):
        _say("run", run_id)


def manifest_of(blobs: Blobs, version: str) -> Manifest | None:
    """Return the manifest of a version, or None if there is none that can be read. Raises Unavailable."""
    blob = blobs.read(path(version, MANIFEST))
    if blob is None:
        return None
    try:
        manifest = msgspec.json.decode(blob.data, type=Manifest)
        instant(manifest.created_at)
        instant(manifest.as_of or manifest.created_at)
    except (msgspec.MsgspecError, ValueError):
        return None
    return manifest


def carried(blobs: Blobs, ledger: Ledger, read: PointerState) -> Sequence[Move]:
    """Record what the pointer tells of; return what the next pointer has to tell, as the ledger is away."""
    try:
        unrecorded(blobs, ledger, read)
    except Unavailable as error:
        log.warning("the ledger is away", extra={"fields": {"reason": str(error)}})
        return moves(read)
    return ()


def _say(what: str, name: str) -> None:
    log.warning("finished what was cut off", extra={"fields": {"what": what, "name": name}})
