"""Thresholds are the cheapest within the review budget."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.config import SideCosts
from shared.learning.data.split import DAY
from shared.learning.training.costs import decision_costs, decision_costs_by_side
from shared.learning.training.thresholds import (
    ThresholdRows,
    choose_thresholds,
    decisions,
    holds_max,
    review_budget,
    thresholds_by_side,
)
from shared.scoring.thresholds import OFF, SideThresholds, Thresholds
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
        taken = np.maximum(Thresholds(hold, reject).reached(scores), by_rule)
        total = float(weight @ table[np.arange(len(taken)), taken])
        return total if weight[taken == 1].sum() <= most + 1e-9 else np.inf

    chosen = choose_thresholds(scores, table, by_rule, weight.astype(float), budget * weight.sum())
    grid = [s for s in np.unique(scores) if s > 1e-9] + [OFF]
    best = min(cost(hold, reject) for hold, reject in itertools.product(grid, grid) if hold <= reject)
    assert 0 < chosen.hold <= chosen.reject
    assert cost(chosen.hold, chosen.reject) == pytest.approx(best, rel=1e-9, abs=1e-3)


def test_review_budget_is_the_smaller_of_share_and_daily_capacity() -> None:
    at = np.linspace(0, 10 * DAY, 1_000).astype(np.int64)
    assert holds_max(np.ones(1_000), at, COSTS) == 500  # half of all
    assert holds_max(np.full(1_000, 100.0), at, COSTS) == 5_000  # 500 a day


DEAR = msgspec.structs.replace(COSTS, friction_hold=40, friction_reject=400, review_share_max=0.1)
BOTH = SideCosts(payer=COSTS, payee=DEAR)
ENOUGH = 30


def calibrated(rows: int, payees: int, seed: int = 0) -> ThresholdRows:
    """Rows of ten days with calibrated scores, which are low in the last `payees` rows, those of the payee's side."""
    rng = np.random.default_rng(seed)
    asked = np.arange(rows) >= rows - payees
    scores = rng.beta(0.3, 2, rows) * np.where(asked, 0.5, 1.0)
    at = rng.integers(0, 10 * DAY, rows)
    ones = np.ones(rows)
    return ThresholdRows(scores, rng.random(rows) < scores, 200 * ones, at, ones, np.zeros(rows, np.int8), asked)


def test_each_side_has_the_thresholds_of_its_own_rows_and_costs() -> None:
    rows = calibrated(8_000, payees=4_000)
    chosen = thresholds_by_side(rows, BOTH, ENOUGH)
    for pair, own, spec in (
        (chosen.payer, rows.at(~rows.payees), COSTS),
        (chosen.payee, rows.at(rows.payees), DEAR),
    ):
        losses = decision_costs(own.scores, own.amount, spec)
        holds = holds_max(own.weight, own.initiated_at, spec)
        assert pair == choose_thresholds(own.scores, losses, own.by_rule, own.weight, holds)
    assert chosen.payee != chosen.payer


@pytest.mark.parametrize("payees", [0, 1, 60])
def test_a_side_with_few_frauds_has_thresholds_by_its_costs_on_all_rows(payees: int) -> None:
    rows = calibrated(4_000, payees)
    assert rows.at(rows.payees).fraud.sum() < ENOUGH
    losses = decision_costs(rows.scores, rows.amount, DEAR)
    everywhere = choose_thresholds(
        rows.scores, losses, rows.by_rule, rows.weight, holds_max(rows.weight, rows.initiated_at, DEAR)
    )
    assert thresholds_by_side(rows, BOTH, ENOUGH).payee == everywhere


def test_the_thresholds_of_the_payers_side_do_not_depend_on_the_payees_rows() -> None:
    rows = calibrated(8_000, payees=4_000)
    alone = rows.at(~rows.payees)
    assert thresholds_by_side(rows, BOTH, ENOUGH).payer == thresholds_by_side(alone, BOTH, ENOUGH).payer


def test_decisions_costs_and_budget_are_those_of_each_rows_side() -> None:
    payees = np.array([False, True, True])
    thresholds = SideThresholds(payer=Thresholds(0.5, 0.9), payee=Thresholds(0.2, 0.4))
    by_rule = np.array([0, 0, 1], np.int8)
    assert decisions(np.array([0.3, 0.3, 0.1]), thresholds, payees, by_rule).tolist() == [0, 1, 1]
    fraud, amount = np.array([True, True, False]), np.full(3, 100.0)
    found = decision_costs_by_side(fraud, amount, payees, BOTH)
    assert found[0].tolist() == decision_costs(fraud, amount, COSTS)[0].tolist()
    assert found[1:].tolist() == decision_costs(fraud, amount, DEAR)[1:].tolist()
    at = np.array([0, 0, DAY])
    assert review_budget(np.full(3, 10.0), at, payees, BOTH) == pytest.approx(0.1 * 20)  # of one payer, no time span
    assert review_budget(np.full(3, 10.0), at, payees & False, BOTH) == pytest.approx(0.5 * 30)
