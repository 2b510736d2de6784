"""Finish the work of a killed job, from the bucket.

Bundle and pointer are written before the ledger, and each holds everything that its ledger row needs, so the next job
can append a missing row. No job moves the pointer before the row of the last move is in the ledger; while the ledger
is unavailable, the next pointer keeps the move in `unrecorded`. Two jobs may both find the same row missing and
append it twice: both rows are equal in every column, and readers count them once.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

import msgspec

from shared.contract.event import micros
from shared.errors import Unavailable, Untrusted
from shared.learning.lifecycle.ledger import challenge_row, move_row, publish_row
from shared.learning.lifecycle.pointer import PointerState, parse_time
from shared.learning.ports import Ledger, Registry, Runs
from shared.ports.blobs import Blobs, Shelf
from shared.scoring.bundle import MANIFEST, Manifest, Move, path

log = logging.getLogger(__name__)

STALE_AFTER = dt.timedelta(days=1)
"""A run open for longer has lost its job: a retraining takes minutes."""
MOVES = ("SWAP", "ROLLBACK")
"""Actions of moves in the ledger."""
_CLOCK_SKEW = dt.timedelta(days=1)  # between the clocks of job and bucket, plus the time from training to publishing


def reconcile(
    blobs: Blobs, shelf: Shelf, ledger: Ledger, runs: Runs, registry: Registry, state: PointerState, now: dt.datetime
) -> None:
    """Make ledger, registry and runs agree with the bucket. Idempotent. Raises Unavailable."""
    record_missing_moves(blobs, ledger, state)
    record_missing_publications(blobs, shelf, ledger)
    if state.pointer:
        registry.set_champion(state.pointer.version, state.pointer.previous)
    for run_id in runs.close_stale(now - STALE_AFTER):
        _log_finished("run", run_id)


def record_missing_moves(blobs: Blobs, ledger: Ledger, state: PointerState) -> list[Move]:
    """Append the rows of those moves in the pointer that the ledger lacks, and return these moves.

    The steps of tests that it lacks are appended too. Raises Unavailable; then the gaps of the ledger are not known.
    """
    moves, steps = state.moves, state.steps
    if not moves:
        return []
    since = min(parse_time(at) for at in (*(move.swapped_at for move in moves), *(step.at for step in steps)))
    rows = ledger.rows(since)
    known = {(row.recorded_at, row.to_version) for row in rows if row.action in MOVES}
    missing = [move for move in moves if (micros(parse_time(move.swapped_at)), move.version) not in known]
    for move in missing:
        ledger.append(move_row(move, read_manifest(blobs, move.version)))
        _log_finished("move", move.version)
    for step in map(challenge_row, steps):
        if step not in rows:
            ledger.append(step)
            _log_finished("step of a test", step.to_version or "")
    return missing


def record_missing_publications(blobs: Blobs, shelf: Shelf, ledger: Ledger) -> list[str]:
    """Append the rows of those complete bundles that the ledger lacks, and return their versions.

    Raises Unavailable.
    """
    objects = shelf.listed("models/")
    complete = {item.name.split("/")[1]: item for item in objects if item.name.endswith(f"/{MANIFEST}")}
    if not complete:
        return []
    since = min(item.updated_at for item in complete.values()) - _CLOCK_SKEW
    known = {row.to_version for row in ledger.rows(since) if row.action == "PUBLISH"}
    missing = [manifest for version in sorted(complete.keys() - known) if (manifest := read_manifest(blobs, version))]
    for manifest in missing:
        ledger.append(publish_row(manifest))
        _log_finished("publication", manifest.version)
    return [manifest.version for manifest in missing]


def pending_moves(blobs: Blobs, ledger: Ledger, state: PointerState) -> Sequence[Move]:
    """Record the moves in the pointer; return those that the next pointer must keep, as the ledger is unavailable."""
    return () if are_recorded(blobs, ledger, state) else state.moves


def are_recorded(blobs: Blobs, ledger: Ledger, state: PointerState) -> bool:
    """Record the moves and steps in the pointer; return False if the ledger is unavailable."""
    try:
        record_missing_moves(blobs, ledger, state)
    except Unavailable as error:
        log.warning("ledger unavailable", extra={"fields": {"reason": str(error)}})
        return False
    return True


def read_manifest(blobs: Blobs, version: str) -> Manifest | None:
    """Return the manifest of a version, None if it is missing, unsigned or cannot be decoded. Raises Unavailable."""
    try:
        blob = blobs.read(path(version, MANIFEST))
        if blob is None:
            return None
        manifest = msgspec.json.decode(blob.data, type=Manifest)
        parse_time(manifest.created_at)
        parse_time(manifest.as_of or manifest.created_at)
    except (Untrusted, msgspec.MsgspecError, ValueError):
        return None
    return manifest


def _log_finished(kind: str, name: str) -> None:
    log.warning("finished interrupted work", extra={"fields": {"what": kind, "name": name}})
