"""Build the rows of `pix.model_ledger`: one function for each event in the life of a model.

Rows of swaps and publications take their time from pointer and manifest instead of a clock: two jobs that record the
same event then append the same row in every column, and readers count it once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

import msgspec

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.learning.lifecycle.pointer import PointerState, parse_time
from shared.learning.lifecycle.request import Request
from shared.scoring.bundle import Manifest, Move
from shared.scoring.challenge import ChallengeMove

Unpromoted = Literal["REFUSE", "TOO_FEW", "ASK", "PUBLISH_ONLY"]
"""Actions by which a published challenger does not serve: refused, judged on too few frauds, a person asked, or not
up for promotion."""
REJECT_CEILING: Literal["REJECT_CEILING"] = "REJECT_CEILING"
"""A model was found to reject too many good customers, or too few frauds among its rejects."""
DriftAction = Literal["DRIFT", "FEATURE_DRIFT"]
"""A drift of the score, which makes an automatic run train, or of features, which alerts a person."""


def move_row(move: Move, manifest: Manifest | None) -> LedgerRow:
    """Return the row of a swap or a rollback; without a manifest, the columns of the training are null."""
    row = LedgerRow(
        recorded_at=micros(parse_time(move.swapped_at)),
        action=move.action,
        actor=move.actor,
        reason=move.reason,
        from_version=move.previous,
        to_version=move.version,
    )
    return _with_training(row, manifest) if manifest else row


def publish_row(manifest: Manifest) -> LedgerRow:
    """Return the row of a published bundle."""
    row = LedgerRow(
        recorded_at=micros(parse_time(manifest.created_at)),
        action="PUBLISH",
        actor=manifest.actor,
        reason=f"trained by {manifest.trigger or 'hand'}",
        to_version=manifest.version,
    )
    return _with_training(row, manifest)


def unpromoted_row(
    action: Unpromoted,
    at: dt.datetime,
    request: Request,
    reason: str,
    state: PointerState,
    manifest: Manifest,
) -> LedgerRow:
    """Return the row of a challenger that was published and does not serve."""
    row = _request_row(action, at, request, reason, state)
    return _with_training(msgspec.structs.replace(row, to_version=manifest.version), manifest)


def untrained_row(
    action: Literal["NOTHING_TO_DO", "STOPPED"], at: dt.datetime, request: Request, reason: str, state: PointerState
) -> LedgerRow:
    """Return the row of a retraining that made no model: there was no reason to train, or it was stopped."""
    return _request_row(action, at, request, reason, state)


def monitored_row(
    action: DriftAction | Literal["REJECT_CEILING"],
    at: dt.datetime,
    actor: str,
    reason: str,
    version: str,
    figures: Mapping[str, float],
    until: dt.datetime,
) -> LedgerRow:
    """Return the row of a finding about `version`, its inputs or its rejects, of Pix initiated before `until`."""
    return LedgerRow(
        recorded_at=micros(at),
        action=action,
        actor=actor,
        reason=reason,
        to_version=version,
        metrics=_json(figures),
        as_of=micros(until),
    )


def challenge_row(step: ChallengeMove) -> LedgerRow:
    """Return the row of a step of a test; it derives from the pointer alone."""
    return LedgerRow(
        recorded_at=micros(parse_time(step.at)),
        action=step.action,
        actor=step.actor,
        reason=step.reason,
        from_version=step.champion,
        to_version=step.challenger,
        metrics=_json(step.figures),
    )


def retire_row(at: dt.datetime, actor: str, reason: str, version: str) -> LedgerRow:
    """Return the row of a bundle that is removed from the bucket."""
    return LedgerRow(micros(at), "RETIRE", actor, reason, to_version=version)


def _request_row(action: str, at: dt.datetime, request: Request, reason: str, state: PointerState) -> LedgerRow:
    return LedgerRow(
        recorded_at=micros(at),
        action=action,
        actor=request.actor,
        reason=reason,
        from_version=state.version,
        trigger=request.trigger,
        as_of=micros(request.as_of),
    )


def _with_training(row: LedgerRow, manifest: Manifest) -> LedgerRow:
    """Return a row with the run, data set, metrics, trigger and `as_of` of the training that made the bundle."""
    return msgspec.structs.replace(
        row,
        run_id=manifest.run_id,
        dataset_hash=manifest.dataset_hash,
        metrics=_json(manifest.metrics),
        trigger=manifest.trigger,
        as_of=micros(parse_time(manifest.as_of)) if manifest.as_of else None,
    )


def _json(figures: Mapping[str, float]) -> str:
    return msgspec.json.encode(figures).decode()
