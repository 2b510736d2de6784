"""When the ledger is told that a model breaks a ceiling on rejects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest

from shared.adapters.memory.learning import MemoryLedger
from shared.contract.event import micros
from shared.contract.rows import HealthRow
from shared.learning.lifecycle.ledger import REJECT_CEILING
from shared.learning.monitoring.reject_watch import RejectWatch
from tests.unit.learning.synthetic import CONFIG

NOW = dt.datetime(2026, 11, 20, 7, tzinfo=dt.UTC)
MOST, LEAST = CONFIG.costs.payer.reject_share_max, CONFIG.costs.payer.reject_precision_min


def told(rows: Sequence[HealthRow], known: Sequence[HealthRow] = ()) -> list[str]:
    """Return the reasons that the ledger is told."""
    ledger = MemoryLedger()
    RejectWatch(ledger, CONFIG.costs.by_side, lambda: NOW, "job").tell(rows, known, NOW)
    assert {(row.action, row.to_version, row.as_of) for row in ledger.stored} <= {(REJECT_CEILING, "v1", micros(NOW))}
    return [row.reason for row in ledger.stored]


def measured(measure: str, value: float, rows: int, age_days: int | None = None, day: int = 1) -> HealthRow:
    return HealthRow(day, 0, measure, rows, side="PAYER", model_version="v1", age_days=age_days, value=value)


def judged(frauds: int, rejects: int, day: int = 1, age_days: int = 7) -> list[HealthRow]:
    given = {"rejects_judged": rejects, "rejects_confirmed": frauds}
    return [measured(name, value, rejects, age_days, day) for name, value in given.items()]


def test_a_share_of_good_customers_beyond_the_ceiling_is_told_and_chance_is_not() -> None:
    assert told([measured("good_rejected", MOST, 100_000)]) == []
    assert told([measured("good_rejected", 1.2 * MOST, 500)]) == []
    [reason] = told([measured("good_rejected", 1.2 * MOST, 1_000_000)])
    assert (
        reason == f"rejects {1.2 * MOST:.3%} of good customers on the payer's side by its scores; at most {MOST:.3%}"
    )


def test_rejects_that_are_too_few_frauds_are_told_and_chance_is_not() -> None:
    assert told(judged(round(LEAST * 1_000), 1_000)) == []
    assert told(judged(0, 5)) == []
    [reason] = told(judged(0, 500))
    assert reason.startswith("rejects too few frauds: 0.0% of its 500 rejects with a label on the payer's side")


def test_few_rejects_of_a_day_are_pooled_with_those_of_other_days_at_the_same_age() -> None:
    days = [row for day in range(2, 40) for row in judged(0, 5, day)]
    assert told(judged(0, 5), days)
    other = [row for day in range(2, 40) for row in judged(0, 5, day, age_days=3)]
    assert told(judged(0, 5), other) == []


@pytest.mark.parametrize("value", [None, 0.0])
def test_a_day_without_rejects_is_quiet(value: float | None) -> None:
    assert told([HealthRow(1, 0, "good_rejected", 0, side="PAYER", model_version="v1", value=value)]) == []
