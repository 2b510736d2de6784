"""Rows as they are appended to BigQuery. Times are microseconds since the epoch, dates days."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import astuple
from numpy.typing import NDArray

from shared.contract.event import Event

FEATURE_PREFIX = "f_"


class NextIds(Struct, frozen=True):
    """Pseudonyms of a Pix under the next HMAC key; every field is a column of `pix.score_events`.

    `next_hmac_key` is the fingerprint of that key (`shared.contract.pseudonyms.fingerprint_of`).
    """

    next_hmac_key: str
    next_payer_id: str
    next_payer_person_id: str
    next_payee_id: str
    next_payee_person_id: str | None
    next_payee_key_id: str | None
    next_device_id: str | None

    def columns(self) -> dict[str, str]:
        """Return the columns that have a value."""
        return {name: value for name, value in zip(NextIds.__struct_fields__, astuple(self), strict=True) if value}


class Challenged(Struct, frozen=True):
    """The part of a challenger in a row, while one is tried; every field is a column of `pix.score_events`.

    `challenger_score` and `challenger_decision` are those of the challenger and the rules, before the control group,
    on the features of the row, whichever arm decided; None where the challenger could not score the Pix.

    `arm` is CHAMPION or CHALLENGER, drawn by the payer's account, and `arm_propensity` the chance that the account
    had of that arm: 1 while the challenger only watches. `ScoreRow.model_version` decided; where the challenger could
    not score a Pix of its arm, it is the champion's.
    """

    challenger_version: str
    arm: str
    arm_propensity: float
    challenger_score: float | None = None
    challenger_decision: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns that have a value."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class ScoreRow(Struct, frozen=True):
    """One decision about one Pix: a row of `pix.score_events`.

    `features` is float32 [F] in the order of `shared.features.catalogue.FEATURE_NAMES`; NaN is stored as NULL.
    `score` is None where no model served. `history_sequence` is None where history could not be read, and
    `decided_sequence`, the place of the change that the decision made by itself, where it made none; `visited` and
    `decided_visited` are the places of both on other shards of history. `place_pending` is true where history may yet
    have a place that the row does not know. `claim_number` counts the times that history was asked about the Pix by
    this side, `delivery_attempt` the deliveries of the message.

    `reasons` are codes of `shared/scoring/reasons.yaml`: of rules, then of the model, strongest first, then of the
    system. `reason_contributions` has one number for each: the log-odds that it adds to the score before calibration,
    0 for a code that is not the model's and so not part of the score.

    `policy_decision` is the decision of rules and model where the control group decided one step milder, None for any
    other; `control_probability` is the chance that the Pix had of that before the draw, None where it had none.

    `next_ids` are None unless the key is about to be changed, `challenged` unless a challenger is tried.
    """

    event: Event
    scored_at: int
    score: float | None
    decision: str
    reasons: list[str]
    reason_contributions: list[float]
    model_version: str | None
    late: bool
    degraded: bool
    hmac_key_version: int
    history_sequence: int | None
    decided_sequence: int | None
    visited: tuple[int, ...]
    decided_visited: tuple[int, ...]
    policy_decision: str | None
    control_probability: float | None
    hold_until: int | None
    published_at: int | None
    delivery_attempt: int | None
    claim_number: int | None
    place_pending: bool
    features: NDArray[np.float32]
    next_ids: NextIds | None = None
    challenged: Challenged | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns that have a value, without those of the features."""
        values = (*astuple(self.event), *astuple(self)[_OWN])
        found = {name: value for name, value in zip(_NAMES, values, strict=True) if value is not None}
        for part in (self.next_ids, self.challenged):
            found |= part.columns() if part else {}
        return found


_OWN = slice(1, -3)  # without the event, which comes first, and features and parts with columns, which come last
_NAMES = (*Event.__struct_fields__, *ScoreRow.__struct_fields__[_OWN])


class FillRow(Struct, frozen=True):
    """The place in history of a stored decision whose row lacks it: a row of `pix.fills`.

    `visited` and `decided_visited` are as in ScoreRow. `features` are those as of that place; `own_facts` tells
    whether history counted the facts of this side's message there, not those of the other side's. `recounted` tells
    that a shard had lost its part of the ask and counted it again: the features are then those of before, and no
    replay finds them.
    """

    end_to_end_id: str
    side: str
    initiated_at: int
    filled_at: int
    history_sequence: int
    decided_sequence: int | None
    visited: tuple[int, ...]
    decided_visited: tuple[int, ...]
    own_facts: bool
    recounted: bool
    features: NDArray[np.float32]

    def columns(self) -> dict[str, Any]:
        """Return the columns that have a value, without those of the features."""
        values = msgspec.structs.asdict(self)
        return {name: value for name, value in values.items() if value is not None and name != "features"}


class _PlainRow(Struct, frozen=True):
    def columns(self) -> dict[str, Any]:
        """Return the columns that have a value."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class FeedbackRow(_PlainRow, frozen=True):
    """One state of a report: a row of `pix.feedback`.

    `verdict` is that of the report alone, None for a report that has none. `history_sequence` is the place at which
    history counted it, None if it changed nothing there. Where several shards did, `visited` has its further places:
    of each value that it changed in turn, the one at home, then the others. Amounts are in centavos, `graph` is JSON.
    `next_hmac_key` and the other `next_` columns are as in NextIds.
    """

    source: str
    report_id: str
    end_to_end_id: str | None
    reported_at: int
    received_at: int
    verdict: str | None = None
    status: str | None = None
    analysis_result: str | None = None
    situation_type: str | None = None
    fraud_type: str | None = None
    history_sequence: int | None = None
    reason: str | None = None
    created_at: int | None = None
    funds_recovery_id: str | None = None
    root_end_to_end_id: str | None = None
    hop: int | None = None
    infraction_amount: int | None = None
    analyst_id: str | None = None
    shown_because: str | None = None
    person_id: str | None = None
    key_id: str | None = None
    infraction_report_id: str | None = None
    result: str | None = None
    amount: int | None = None
    rejection: str | None = None
    graph: str | None = None
    state_hash: int | None = None
    visited: tuple[int, ...] = ()
    next_hmac_key: str | None = None
    next_person_id: str | None = None
    next_key_id: str | None = None
    next_analyst_id: str | None = None


class OutcomeRow(_PlainRow, frozen=True):
    """One outcome of a Pix: a row of `pix.outcomes`; `amount` is in centavos.

    `history_sequence` is the place at which history counted it, None if it changed nothing there, and `visited` are
    those on other shards. `place_pending` is true where history had forgotten the Pix when the outcome came: another
    row says the same once it is counted. None, not false, for any other: a column of NULL has no bytes to read.
    """

    end_to_end_id: str
    side: str
    status: str
    at: int
    received_at: int
    reason: str | None = None
    return_id: str | None = None
    amount: int | None = None
    history_sequence: int | None = None
    visited: tuple[int, ...] = ()
    place_pending: bool | None = None


class LateRow(_PlainRow, frozen=True):
    """A late outcome, or an attempt to count one: a row of `pix.late_outcomes`; `amount` is in centavos.

    It waits until a row that says the same is `counted`. An attempt at `tried_at` that found no place of its Pix has
    no such mark. An attempt repeats `received_at`.
    """

    end_to_end_id: str
    side: str
    status: str
    at: int
    received_at: int
    reason: str | None = None
    return_id: str | None = None
    amount: int | None = None
    tried_at: int | None = None
    counted: bool | None = None

    @classmethod
    def of(cls, row: OutcomeRow, tried_at: int | None = None, counted: bool | None = None) -> LateRow:
        """Return the row of an outcome."""
        return cls(
            *(row.end_to_end_id, row.side, row.status, row.at, row.received_at),
            *(row.reason, row.return_id, row.amount, tried_at, counted),
        )


class ReviewRow(_PlainRow, frozen=True):
    """An event of a case at the desk: a row of `pix.reviews`.

    `event` is TAKEN, RETURNED, JUDGED, AGREED or DISAGREED. `by_id` is the pseudonym of a user, as in `analyst_id` of
    their reports. The latest row of a `review_id` counts. `about_id` is the verdict's that a second person answers.
    """

    review_id: str
    end_to_end_id: str
    side: str
    event: str
    at: int
    by_id: str
    shown_because: str | None = None
    expires_at: int | None = None
    verdict: str | None = None
    reason: str | None = None
    note: str | None = None
    seconds_taken: int | None = None
    needs_agreement: bool | None = None
    about_id: str | None = None


class SuspicionRow(_PlainRow, frozen=True):
    """A step in the life of a suspicion about an account: a row of `pix.suspicions`.

    The rows of a `suspicion_id` are its history. A row of an `event_id` that is there twice was appended twice.
    """

    event_id: str
    suspicion_id: str
    account_id: str
    event: str
    at: int
    by_id: str
    finding: str
    hmac_key_version: int
    documents: tuple[str, ...] = ()
    expires_at: int | None = None


class QuarantineRow(_PlainRow, frozen=True):
    """A malformed message, without its content: a row of `pix.quarantine`.

    `payload_hash` is keyed (`shared.contract.payload_hash`), as messages are short enough to be tried.
    """

    quarantined_at: int
    topic: str
    reason: str
    payload_hash: str
    payload_bytes: int
    field: str | None = None
    message_id: str | None = None


class LostRow(_PlainRow, frozen=True):
    """The end of an epoch of which a shard of history lost its last changes: a row of `pix.lost_places`."""

    epoch: int
    kept: int
    noted_at: int
    shard: int | None = None


class LedgerRow(_PlainRow, frozen=True):
    """An event in the life of a model: a row of `pix.model_ledger`; `metrics` is JSON.

    Run, data set, metrics, trigger and `as_of` are those of the training of `to_version`. Two jobs that both find a
    row missing write the same row, equal in every column.
    """

    recorded_at: int
    action: str
    actor: str
    reason: str
    from_version: str | None = None
    to_version: str | None = None
    run_id: str | None = None
    dataset_hash: str | None = None
    metrics: str | None = None
    trigger: str | None = None
    as_of: int | None = None


class HealthRow(_PlainRow, frozen=True):
    """A measure of a day: a row of `pix.health`; `low` and `high` are the ends of its interval.

    `age_days` is the age of the day as of which its labels were read. `value` is None if it cannot be said.
    """

    day: int
    measured_at: int
    measure: str
    row_count: int
    side: str | None = None
    model_version: str | None = None
    segment: str | None = None
    age_days: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


Record = (
    ScoreRow
    | OutcomeRow
    | LateRow
    | FeedbackRow
    | QuarantineRow
    | LedgerRow
    | FillRow
    | LostRow
    | ReviewRow
    | SuspicionRow
    | HealthRow
)
