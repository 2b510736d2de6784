"""The dispersion of frauds: 1 of independent ones, the size of bursts of those that come together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.monitoring.dispersion import ASSUMED, DAYS_MIN, DayCount, Dispersion, dispersion

SCORES = np.concatenate([np.random.default_rng(3).uniform(0, 0.01, 900), np.full(12, 0.5)])
EXPECTED, SPREAD = float(SCORES.sum()), float((SCORES * (1 - SCORES)).sum())


def days_of(known: np.ndarray) -> list[DayCount]:
    return [DayCount(EXPECTED, SPREAD, float(one)) for one in known]


def test_independent_frauds_have_a_dispersion_of_one() -> None:
    drawn = np.random.default_rng(8).uniform(size=(1_000, len(SCORES))) < SCORES
    assert dispersion(days_of(drawn.sum(axis=1))).factor == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("size", [2, 4])
def test_frauds_in_bursts_have_a_dispersion_of_their_size(size: int) -> None:
    starts = np.random.default_rng(8).uniform(size=(4_000, len(SCORES))) < SCORES / size
    variance = float((SCORES / size * (1 - SCORES / size)).sum()) * size**2
    assert dispersion(days_of(size * starts.sum(axis=1))).factor == pytest.approx(variance / SPREAD, rel=0.1)
    assert variance / SPREAD > size


def test_scores_that_are_all_too_high_count_as_dispersion() -> None:
    drawn = np.random.default_rng(8).uniform(size=(1_000, len(SCORES))) < SCORES / 2
    missed = EXPECTED / 2
    own = float((SCORES / 2 * (1 - SCORES / 2)).sum())
    assert dispersion(days_of(drawn.sum(axis=1))).factor == pytest.approx((missed**2 + own) / SPREAD, rel=0.1)


@pytest.mark.parametrize("days", [0, DAYS_MIN - 1])
def test_of_few_days_it_is_assumed(days: int) -> None:
    assert dispersion([DayCount(2.0, 1.0, 2.0)] * days) == Dispersion(ASSUMED, days, "ASSUMED")


def test_days_that_foretell_nothing_say_nothing() -> None:
    assert dispersion([DayCount(0.0, 0.0, 0.0)] * 99).basis == "ASSUMED"


@given(
    st.lists(
        st.tuples(st.floats(0.1, 1e4), st.floats(0.01, 0.99), st.floats(0, 1e4)), min_size=DAYS_MIN, max_size=60
    ),
    st.integers(2, 5),
)
def test_it_is_at_least_one_and_the_same_of_days_that_come_again(
    days: list[tuple[float, float, float]], again: int
) -> None:
    counts = [DayCount(expected, expected * share, known) for expected, share, known in days]
    found = dispersion(counts)
    assert found.factor >= 1
    assert dispersion(counts * again).factor == pytest.approx(found.factor)
    assert dispersion(counts * again).margin(0.9) <= found.margin(0.9)
