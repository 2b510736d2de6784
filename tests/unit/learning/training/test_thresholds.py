"""Thresholds are the cheapest within the review budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.data.split import DAY
from shared.learning.training.costs import decision_costs
from shared.learning.training.thresholds import NEVER, choose_thresholds, decisions, holds_max
from shared.scoring.bundle import Thresholds
from tests.unit.learning.training.costs import COSTS

ruled = st.lists(
    st.tuples(
        st.floats(0, 1, width=16),
        st.booleans(),
        st.integers(1, 5_000),
        st.integers(1, 3),
        st.sampled_from([0, 0, 0, 1, 2]),
    ),
    min_size=2,
    max_size=30,
)


@given(ruled, st.floats(0.01, 0.99))
def test_thresholds_are_the_cheapest_within_the_review_budget(
    rows: list[tuple[float, bool, int, int, int]], budget: float
) -> None:
    scores, fraud, amount, weight, by_rule = (np.array(column) for column in zip(*rows, strict=True))
    table, by_rule = decision_costs(fraud, amount.astype(float), COSTS), by_rule.astype(np.int8)
    most = max(budget * weight.sum(), weight[by_rule == 1].sum())

    def cost(hold: float, reject: float) -> float:
        taken = decisions(scores, Thresholds(hold, reject), by_rule)
        total = float(weight @ table[np.arange(len(taken)), taken])
        return total if weight[taken == 1].sum() <= most + 1e-9 else np.inf

    chosen = choose_thresholds(scores, table, by_rule, weight.astype(float), budget * weight.sum())
    grid = [s for s in np.unique(scores) if s > 1e-9] + [NEVER]
    best = min(cost(hold, reject) for hold, reject in itertools.product(grid, grid) if hold <= reject)
    assert 0 < chosen.hold <= chosen.reject
    assert cost(chosen.hold, chosen.reject) == pytest.approx(best, rel=1e-9, abs=1e-3)


def test_review_budget_is_the_smaller_of_share_and_daily_capacity() -> None:
    at = np.linspace(0, 10 * DAY, 1_000).astype(np.int64)
    assert holds_max(np.ones(1_000), at, COSTS) == 500  # half of all
    assert holds_max(np.full(1_000, 100.0), at, COSTS) == 5_000  # 500 a day
