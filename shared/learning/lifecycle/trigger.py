"""Decide whether an automatic run trains: after drift, a fall of performance, enough labels, or on schedule."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.training_query import TrainingQuery
from shared.learning.errors import NothingToDo
from shared.learning.ports import Ledger
from shared.learning.specs.data import TriggerSpec

TriggerName = Literal["schedule", "labels", "drift", "performance", "manual"]
JUDGED = ("SWAP", "REFUSE", "TOO_FEW", "ASK")
"""Actions that end a training; a run that was killed before one of them does not count as a training."""
PUBLISH_ONLY = "PUBLISH_ONLY"
"""The action of a training that was not up for promotion. By hand it is a trial, which puts no schedule off."""
_DAY = dt.timedelta(days=1)


class SinceTraining(NamedTuple):
    """Changes since the last training, whose labels are `days` old; `days` is None if there was no training.

    `labels` is the number of new labels, `frauds` of the frauds among them; `drift` is the reason of the last drift
    alert, `fall` that of a fall of the champion's performance on matured days; None without one.
    """

    days: float | None
    labels: int
    frauds: int
    drift: str | None
    fall: str | None = None


class TriggerDecision(NamedTuple):
    """The trigger of a run, and the reason for it."""

    trigger: TriggerName
    reason: str


def decide(since: SinceTraining, spec: TriggerSpec) -> TriggerDecision:
    """Return the trigger of an automatic run. Raises NothingToDo, with each number and its limit.

    >>> spec = TriggerSpec(days_max=7, labels_min=2000, frauds_min=50, drift_days_min=3)
    >>> decide(SinceTraining(days=3.0, labels=2500, frauds=60, drift=None), spec)
    TriggerDecision(trigger='labels', reason='2,500 of 2,000 labels are new, 60 of 50 frauds')
    >>> decide(SinceTraining(days=None, labels=0, frauds=0, drift=None), spec).reason
    'no model was trained yet'
    """
    if since.days is None:
        return TriggerDecision("schedule", "no model was trained yet")
    labels = f"{since.labels:,} of {spec.labels_min:,} labels are new, {since.frauds:,} of {spec.frauds_min:,} frauds"
    age = f"{since.days:.1f} of {spec.days_max:g} days have passed"
    if since.drift is not None and since.days >= spec.drift_days_min:
        return TriggerDecision("drift", since.drift)
    if since.fall is not None and since.days >= spec.drift_days_min:
        return TriggerDecision("performance", since.fall)
    if since.labels >= spec.labels_min and since.frauds >= spec.frauds_min:
        return TriggerDecision("labels", labels)
    if since.days >= spec.days_max:
        return TriggerDecision("schedule", age)
    drift = "no drift was found"
    if since.drift is not None:
        drift = f"drift counts only from {spec.drift_days_min:g} days on ({since.drift})"
    if since.fall is not None:
        drift += f", and so does a fall of performance ({since.fall})"
    raise NothingToDo(f"since the last training {age}, {labels}, and {drift}")


def since_last_training(ledger: Ledger, source: TrainingSource, as_of: dt.datetime) -> SinceTraining:
    """Return the changes from the last training to `as_of`. Raises Unavailable."""
    rows = ledger.rows(EPOCH)
    trained = last_training_as_of(rows)
    if trained is None:
        return SinceTraining(None, 0, 0, None)
    alerts = [row.reason for row in rows if row.action == "DRIFT" and trained < (row.as_of or 0) <= micros(as_of)]
    until = EPOCH + dt.timedelta(microseconds=trained)
    labels, frauds = new_labels(source, until, as_of)
    return SinceTraining(max((as_of - until) / _DAY, 0.0), labels, frauds, alerts[-1] if alerts else None)


def last_training_as_of(rows: list[LedgerRow]) -> int | None:
    """Return the `as_of` of the last training in microseconds, None if there was no training.

    The latest `as_of` counts, not the latest row: promoting an old version by hand is not a training. No training
    knew more than the time of its row: one as of the future would put off the schedule until then.
    """
    return max(
        (min(row.as_of, row.recorded_at) for row in rows if _is_training(row) and row.as_of is not None), default=None
    )


def _is_training(row: LedgerRow) -> bool:
    return row.action in JUDGED or (row.action == PUBLISH_ONLY and row.trigger != "manual")


def new_labels(source: TrainingSource, since: dt.datetime, as_of: dt.datetime) -> tuple[int, int]:
    """Return the number of examples that entered the training set after `since` and by `as_of`, and of their frauds.

    Raises Unavailable.
    """
    examples = TrainingQuery(source.project, source.dataset, source.maturity_days, as_of)
    [found] = source.queries.rows(examples.new_labels(), {"since": since})
    return found["labels"], found["frauds"]
