"""The trigger of a retraining: schedule, labels and drift."""

from __future__ import annotations

import datetime as dt

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.learning import MemoryExports, MemoryLedger, MemoryQueries
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.learning.data.dataset import TrainingSource
from shared.learning.errors import NothingToDo
from shared.learning.lifecycle.trigger import SinceTraining, decide, since_last_training
from shared.learning.specs.data import TriggerSpec

SPEC = TriggerSpec(days_max=7, labels_min=100, frauds_min=5, drift_days_min=3)
NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def row(action: str, as_of: dt.datetime | None, reason: str = "", trigger: str = "manual") -> LedgerRow:
    at = micros(as_of or NOW)
    return LedgerRow(at, action, "me", reason, trigger=trigger, as_of=None if as_of is None else at)


def since(*rows: LedgerRow, labels: int = 0, frauds: int = 0) -> SinceTraining:
    ledger = MemoryLedger()
    for each in rows:
        ledger.append(each)
    queries = MemoryQueries(lambda *_: [{"labels": labels, "frauds": frauds}])
    return since_last_training(ledger, source(queries), NOW)


def source(queries: MemoryQueries) -> TrainingSource:
    return TrainingSource(MemoryExports(pa.table({})), queries, "p", "pix", 87)


def test_without_a_training_one_is_due() -> None:
    assert decide(since(row("NOTHING_TO_DO", NOW - DAY), row("STOPPED", NOW - DAY)), SPEC).trigger == "schedule"


def test_a_training_interrupted_before_its_verdict_does_not_count() -> None:
    assert since(row("PUBLISH", NOW - DAY)).days is None
    assert since(row("PUBLISH", NOW - DAY), row("REFUSE", NOW - DAY)).days == 1


def test_the_last_training_is_the_one_with_the_latest_labels() -> None:
    assert since(row("REFUSE", NOW - 2 * DAY), row("SWAP", NOW - 30 * DAY)).days == 2


def test_a_training_as_of_the_future_does_not_silence_the_schedule() -> None:
    mistaken = msgspec.structs.replace(row("SWAP", NOW - 8 * DAY), as_of=micros(NOW + 357 * DAY))
    assert decide(since(mistaken), SPEC) == ("schedule", "8.0 of 7 days have passed")
    assert since(row("SWAP", NOW + DAY)).days == 0


def test_a_model_published_by_hand_alone_does_not_put_the_schedule_off() -> None:
    tried = [row("PUBLISH_ONLY", NOW - days * DAY) for days in (6, 3, 0)]
    assert since(row("REFUSE", NOW - 9 * DAY), *tried).days == 9
    assert since(row("PUBLISH_ONLY", NOW - DAY, trigger="schedule")).days == 1


def test_only_an_alert_since_the_last_training_counts() -> None:
    trained = row("SWAP", NOW - 4 * DAY)
    assert since(trained, row("DRIFT", NOW - 5 * DAY, "before")).drift is None
    assert decide(since(trained, row("DRIFT", NOW - DAY, "amount moved")), SPEC) == ("drift", "amount moved")


def test_persistent_drift_does_not_train_every_night() -> None:
    ledger, nights = MemoryLedger(), []
    nothing_new = source(MemoryQueries(lambda *_: [{"labels": 0, "frauds": 0}]))
    ledger.append(row("SWAP", NOW))
    for night in range(1, 11):
        now = NOW + night * DAY
        ledger.append(row("DRIFT", now, "amount moved"))
        if due(since_last_training(ledger, nothing_new, now)):
            nights.append(night)
            ledger.append(row("REFUSE", now))
    assert nights == [3, 6, 9]


def due(changes: SinceTraining) -> bool:
    try:
        return decide(changes, SPEC).trigger == "drift"
    except NothingToDo:
        return False


def test_the_reason_names_the_drift_and_the_age_from_which_it_counts() -> None:
    with pytest.raises(NothingToDo, match=r"drift counts only from 3 days on \(amount moved\)"):
        decide(SinceTraining(2.9, 0, 0, "amount moved"), SPEC)


def test_early_drift_hides_no_other_reason() -> None:
    assert decide(SinceTraining(0.5, 100, 5, "amount moved"), SPEC).trigger == "labels"


@pytest.mark.parametrize(
    ("changes", "trigger"),
    [
        (SinceTraining(0.5, 100, 5, None), "labels"),
        (SinceTraining(7.0, 0, 0, None), "schedule"),
        (SinceTraining(7.0, 100, 5, "x"), "drift"),
        (SinceTraining(7.0, 100, 5, None), "labels"),
    ],
)
def test_each_reason_is_enough_by_itself(changes: SinceTraining, trigger: str) -> None:
    assert decide(changes, SPEC).trigger == trigger


def test_nothing_to_do_names_each_number_and_its_limit() -> None:
    with pytest.raises(NothingToDo) as raised:
        decide(SinceTraining(1.25, 99, 4, None), SPEC)
    for part in ("1.2 of 7 days", "99 of 100 labels", "4 of 5 frauds", "no drift"):
        assert part in str(raised.value)


@given(st.floats(0, 7, exclude_max=True), st.integers(0, 500), st.integers(0, 20))
def test_within_the_schedule_both_label_limits_must_be_reached(days: float, labels: int, frauds: int) -> None:
    due = labels >= SPEC.labels_min and frauds >= SPEC.frauds_min
    try:
        assert decide(SinceTraining(days, labels, frauds, None), SPEC).trigger == "labels"
        assert due
    except NothingToDo:
        assert not due
