"""A training set whose served features were not compared, or differ from a replay, asks a person."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.learning.lifecycle.comparisons import ACTIONS, DayComparison, comparison_row, comparison_suspicions
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.lifecycle.retraining import retrain
from tests.unit.learning.synthetic import AS_OF, CONFIG, DAYS, QUICK, START, Bench, request, silent

SPEC = CONFIG.comparison
DAY = dt.timedelta(days=1)
TRAINED, JUDGED = (micros(START), micros(AS_OF)), micros(AS_OF - 10 * DAY)


def row(first: int, last: int, differing: int = 0, recorded: int = 0) -> LedgerRow:
    """Return the row of a comparison of some days of the training set, recorded after others by a number."""
    names = ["amount"] if differing else []
    found = DayComparison(START + first * DAY, START + last * DAY, 10_000, differing, names)
    return comparison_row(found, AS_OF + recorded * DAY, "tests")


def suspicions(*rows: LedgerRow) -> list[str]:
    return comparison_suspicions(rows, TRAINED, JUDGED, SPEC)


def test_equal_features_raise_no_suspicion() -> None:
    assert row(0, DAYS).action == "NO_SKEW"
    assert suspicions(row(0, DAYS)) == []
    assert suspicions(*(row(day, day + 1, recorded=day) for day in range(DAYS))) == []


def test_a_test_period_without_a_comparison_is_suspicious() -> None:
    (text,) = suspicions()
    assert "100% of the test period from 2026-02-20 to 2026-03-02 were not compared" in text
    assert suspicions(row(0, DAYS - 10)) == [text]
    assert suspicions(row(DAYS, DAYS + 5)) == [text]


@pytest.mark.parametrize(("missing", "asked"), [(2, 0), (3, 1)])
def test_a_few_nights_may_be_missing(missing: int, asked: int) -> None:
    assert len(suspicions(row(0, DAYS - 10 + 4), row(DAYS - 6 + missing, DAYS))) == asked


@pytest.mark.parametrize(("differing", "asked"), [(10, 0), (11, 1)])
def test_more_than_a_few_rows_that_differ_are_suspicious(differing: int, asked: int) -> None:
    assert row(0, DAYS, differing).action == "SKEW"
    found = suspicions(row(0, DAYS, differing))
    assert len(found) == asked
    assert all("amount" in text and f"{differing} have other features" in text for text in found)


def test_differences_outside_the_training_set_do_not_count() -> None:
    assert suspicions(row(0, DAYS), row(-5, 0, 500), row(DAYS, DAYS + 3, 500)) == []


def test_the_latest_comparison_of_a_day_counts() -> None:
    faulty = row(20, 22, 500)
    assert suspicions(row(0, DAYS, recorded=1), row(20, 22, 500)) == []
    assert suspicions(row(0, DAYS), row(20, 22, 500, recorded=1)) == [faulty.reason]
    assert suspicions(row(0, DAYS), row(20, 22, 500, 1), row(20, 21, recorded=2)) == [faulty.reason]
    assert suspicions(row(0, DAYS), row(20, 22, 500, 1), row(20, 22, recorded=2)) == []


@pytest.mark.parametrize("rows", [[], [row(30, 31, 500, 1), row(0, DAYS)]])
def test_a_retraining_asks_a_person_and_a_later_comparison_ends_that(rows: list[LedgerRow]) -> None:
    bench = Bench()
    bench.rows[:] = rows
    asked = retrain(bench.services(), QUICK, request(), silent)
    assert (asked.outcome, bench.actions()[-1]) == ("SUSPECTED", "ASK")
    assert "replay" in asked.reasons[0]
    assert read_pointer(bench.blobs).version is None
    card = bench.runs.reports[asked.run_id].documents["card.html"].decode()
    assert "may not be known to be\n  what a replay computes" in card

    # The same days are looked at again, as if none had looked before.
    kept = [one if one.action in ACTIONS else msgspec.structs.replace(one, metrics=None) for one in bench.rows]
    bench.rows[:] = [*kept, row(0, DAYS, recorded=2)]
    assert retrain(bench.services(), QUICK, request(), silent).outcome == "PROMOTED"


def test_rows_name_at_most_five_features() -> None:
    found = DayComparison(START, AS_OF, 10, 7, [f"f{i}" for i in range(7)])
    assert found.reason().endswith("f0, f1, f2, f3, f4 and 2 more")
