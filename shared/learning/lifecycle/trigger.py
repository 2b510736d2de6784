"""Whether there is reason to train: drift, enough newly known labels, or the schedule."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.contract.tables import query
from shared.learning.config import TriggerSpec
from shared.learning.data.dataset import TrainingSource
from shared.learning.errors import NothingToDo
from shared.learning.ports import Ledger

TriggerName = Literal["schedule", "labels", "drift", "manual"]
JUDGED = ("SWAP", "REFUSE")
"""A training counts once it was judged: of one that was cut off before, the work is not done."""
_DAY = dt.timedelta(days=1)


class Since(NamedTuple):
    """What has happened since the last training, which knew what was known `days` ago; None: there was none.

    `labels` became known since, `frauds` among them; `drift` is what the last alert since said, None without one.
    """

    days: float | None
    labels: int
    frauds: int
    drift: str | None


class TriggerDecision(NamedTuple):
    """What makes a run train, and why."""

    trigger: TriggerName
    reason: str


def decide(since: Since, spec: TriggerSpec) -> TriggerDecision:
    """Return what makes a run train that decides by itself. Raises NothingToDo, with each number and its limit.

    >>> spec = TriggerSpec(days_max=7, labels_min=2000, frauds_min=50, psi_max=0.25, drift_days_min=3)
    >>> decide(Since(days=3.0, labels=2500, frauds=60, drift=None), spec)
    Decision(trigger='labels', reason='2,500 of 2,000 labels are new, 60 of 50 frauds')
    >>> decide(Since(days=None, labels=0, frauds=0, drift=None), spec).reason
    'nothing was trained yet'
    """
    if since.days is None:
        return TriggerDecision("schedule", "nothing was trained yet")
    labels = f"{since.labels:,} of {spec.labels_min:,} labels are new, {since.frauds:,} of {spec.frauds_min:,} frauds"
    age = f"{since.days:.1f} of {spec.days_max:g} days have passed"
    if since.drift is not None and since.days >= spec.drift_days_min:
        return TriggerDecision("drift", since.drift)
    if since.labels >= spec.labels_min and since.frauds >= spec.frauds_min:
        return TriggerDecision("labels", labels)
    if since.days >= spec.days_max:
        return TriggerDecision("schedule", age)
    drift = "no drift was found"
    if since.drift is not None:
        drift = f"drift counts only from {spec.drift_days_min:g} days on ({since.drift})"
    raise NothingToDo(f"since the last training {age}, {labels}, and {drift}")


def look(ledger: Ledger, source: TrainingSource, as_of: dt.datetime) -> Since:
    """Return what has happened by `as_of` since the last training. Raises Unavailable."""
    rows = ledger.rows(EPOCH)
    trained = last_trained(rows)
    if trained is None:
        return Since(None, 0, 0, None)
    alerts = [row.reason for row in rows if row.action == "DRIFT" and trained < (row.as_of or 0) <= micros(as_of)]
    until = EPOCH + dt.timedelta(microseconds=trained)
    labels, frauds = newly_known(source, until, as_of)
    return Since((as_of - until) / _DAY, labels, frauds, alerts[-1] if alerts else None)


def last_trained(rows: list[LedgerRow]) -> int | None:
    """Return what the last training knew up to (microseconds), None if there was none."""
    return max((row.as_of for row in rows if row.action in JUDGED and row.as_of is not None), default=None)


def newly_known(source: TrainingSource, since: dt.datetime, as_of: dt.datetime) -> tuple[int, int]:
    """Return how many examples came into the training set after `since` and by `as_of`, and how many are frauds.

    They come into it once both hold: the verdict is known, and the Pix has matured. Raises Unavailable.
    """
    examples = query("training_examples", source.project, source.dataset, source.maturity_days, "@as_of")
    matured = f"TIMESTAMP_ADD(initiated_at, INTERVAL {round(24 * source.maturity_days)} HOUR)"
    sql = (
        "SELECT COUNT(*) AS labels, COUNTIF(verdict = 'FRAUD') AS frauds "  # noqa: S608 (a file of the contract)
        f"FROM ({examples}) AS examples WHERE {matured} <= @as_of AND GREATEST(labelled_at, {matured}) > @since"
    )
    [found] = source.queries.rows(sql, {"as_of": as_of, "since": since})
    return found["labels"], found["frauds"]
