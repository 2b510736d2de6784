"""Frauds of a day in the end, from those known at an age."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.monitoring.ladder import AGES, growth, projected

GROWING = {1: 10.0, 3: 20.0, 7: 40.0, 14: 60.0, 30: 80.0, 60: 90.0, 87: 100.0}


@pytest.mark.parametrize("age", AGES)
def test_a_day_grows_as_earlier_days_did(age: int) -> None:
    assert growth([GROWING] * 3, age) == pytest.approx(100 / GROWING[age])


@given(st.integers(0, len(AGES) - 1), st.integers(1, 9))
def test_days_that_are_young_themselves_tell_of_their_first_ages(young: int, days: int) -> None:
    known = {age: GROWING[age] for age in AGES[: young + 1]}
    assert growth([GROWING] * 3 + [known] * days, 1) == pytest.approx(10.0)


def test_of_too_few_frauds_nothing_is_projected() -> None:
    few = {age: count / 10 for age, count in GROWING.items()}
    assert math.isnan(growth([few], 1))
    assert math.isnan(growth([], 1))
    assert growth([few] * 2, 87) == 1.0, "at the last age all that will be known is known"


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, truth, share = np.random.default_rng(3), 40.0, 0.25
    known = rng.poisson(truth * share, size=2_000)
    found = [projected(float(count), 1 / share) for count in known]
    covered = np.mean([one.interval.low <= truth <= one.interval.high for one in found])
    assert covered > 0.9
    assert np.mean([one.value for one in found]) == pytest.approx(truth, rel=0.05)
