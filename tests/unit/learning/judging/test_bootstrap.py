"""Blocks of time, and intervals by resampling them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.data.split import DAY
from shared.learning.judging.bootstrap import BLOCKS_MIN, Resampling, estimate, time_blocks
from shared.learning.judging.evaluate import (
    saving,
)


def test_intervals_are_wider_where_the_frauds_of_a_day_are_alike() -> None:
    rng = np.random.default_rng(0)
    at = np.sort(rng.integers(0, 60 * DAY, 6_000))
    campaign = rng.normal(size=60)[at // DAY]
    alone = rng.permutation(campaign)

    def width(values: np.ndarray) -> float:
        found = estimate(saving(values, np.zeros(6_000), Resampling.of(at, np.ones(6_000), 500, 0)), 0.95)
        return found.interval.high - found.interval.low

    assert width(campaign) > 4 * width(alone)


@given(st.lists(st.integers(0, 90 * DAY), min_size=2, max_size=50, unique=True))
def test_blocks_are_days_or_less_and_none_is_empty(times: list[int]) -> None:
    at = np.array(times)
    block = time_blocks(at)
    assert set(block) == set(range(block.max() + 1))
    for one in range(block.max() + 1):
        assert np.ptp(at[block == one]) < max(min(DAY, np.ptp(at) // BLOCKS_MIN), 1)
