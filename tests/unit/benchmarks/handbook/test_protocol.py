"""The published protocol, on a tiny stream, against plain Python."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.handbook.protocol import (
    FIRST_DAY,
    SINGLE,
    TEST_FOLDS,
    NotTheStream,
    Rows,
    Stream,
    card_precision,
    figures,
    fold,
    require_published,
    validation_starts,
)

START = FIRST_DAY + timedelta(days=10)
DAYS = 40


def stream(frauds: set[tuple[int, int]], customers: int = 4) -> Stream:
    """Return one transaction of each customer on each day; frauds are (day, customer)."""
    day, customer = (part.ravel().astype(np.int32) for part in np.mgrid[:DAYS, :customers])
    fraud = np.array([pair in frauds for pair in zip(day.tolist(), customer.tolist(), strict=True)])
    return Stream(day, customer, fraud)


def in_test(data: Stream) -> set[tuple[int, int]]:
    rows = fold(data, START).test
    return set(zip(data.day[rows].tolist(), data.customer[rows].tolist(), strict=True))


def days_of(data: Stream, rows: Rows) -> list[int]:
    return sorted(set(data.day[rows].tolist()))


def test_seven_days_of_training_a_delay_of_seven_and_seven_of_test() -> None:
    data = stream(set())
    period = fold(data, START)
    assert days_of(data, period.train) == list(range(10, 17))
    assert days_of(data, period.test) == list(range(24, 31))
    assert len(period.test) == 7 * 4


def test_all_history_ends_with_the_same_week_and_tests_the_same_rows() -> None:
    data = stream({(12, 1)})
    period = fold(data, START, since=3)
    assert days_of(data, period.train) == list(range(3, 17))
    assert period.test.tolist() == fold(data, START).test.tolist()


@pytest.mark.parametrize("day", [10, 16])
def test_a_customer_defrauded_in_the_training_week_is_not_tested(day: int) -> None:
    assert {customer for _, customer in in_test(stream({(day, 1)}))} == {0, 2, 3}


@pytest.mark.parametrize("day", [9, 23, 24, 30])
def test_a_fraud_before_training_or_not_yet_known_removes_no_customer(day: int) -> None:
    assert len(in_test(stream({(day, 1)}))) == 7 * 4


@pytest.mark.parametrize("day", range(17, 23))
def test_a_fraud_in_the_delay_removes_its_customer_once_it_is_known(day: int) -> None:
    """On test day i, those of the days up to (training start + 7 + i - 1) are known."""
    left = {when for when, customer in in_test(stream({(day, 1)})) if customer == 1}
    assert left == set(range(24, day + 8))


def test_validation_weeks_end_before_the_first_test_week() -> None:
    starts = validation_starts(8)
    last = max(starts) + timedelta(days=20)
    assert last < min(TEST_FOLDS) + timedelta(days=7) == date(2018, 8, 1)
    assert min(TEST_FOLDS) == SINGLE
    assert len(set(starts)) == 8


def plain_card_precision(rows: list[tuple[int, int, bool, float]], top: int) -> float:
    found: set[int] = set()
    shares = []
    for day in sorted({row[0] for row in rows}):
        today = [row for row in rows if row[0] == day and row[1] not in found]
        cards = sorted({row[1] for row in today}, key=lambda c: (-max(r[3] for r in today if r[1] == c), c))[:top]
        caught = {card for card in cards if any(row[2] for row in today if row[1] == card)}
        shares.append(len(caught) / top)
        found |= caught
    return sum(shares) / len(shares)


rows_of_days = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=100)
@given(rows_of_days, st.integers(1, 4))
def test_card_precision_is_that_of_plain_python(rows: list[tuple[int, int, bool, float]], top: int) -> None:
    day, customer, fraud, score = (np.array(values) for values in zip(*rows, strict=True))
    found = card_precision(day.astype(np.int32), customer.astype(np.int32), fraud, score, top)
    assert found == pytest.approx(plain_card_precision(rows, top))


def test_a_customer_found_on_one_day_is_left_out_on_the_next() -> None:
    day, customer = np.array([0, 1], dtype=np.int32), np.array([7, 7], dtype=np.int32)
    assert card_precision(day, customer, np.array([True, True]), np.ones(2), top=1) == 0.5


def test_figures_of_an_oracle() -> None:
    data = stream({(24, 0), (25, 1)})
    rows = fold(data, START).test
    found = figures(data, rows, data.fraud[rows].astype(np.float64))
    assert (found.auc, found.ap) == (1.0, 1.0)
    assert found.cp100 == pytest.approx(2 / 7 / 100)


def test_another_stream_is_refused_with_the_difference() -> None:
    with pytest.raises(NotTheStream, match="the stream has 160 rows and 0 frauds, not 1,754,155 and 14,681"):
        require_published(stream(set()))
