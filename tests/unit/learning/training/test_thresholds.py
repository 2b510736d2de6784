"""Thresholds are the cheapest within the review budget and the ceilings on rejects."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.data.split import DAY
from shared.learning.specs.gate import SideCosts
from shared.learning.training.costs import decision_costs, decision_costs_by_side
from shared.learning.training.thresholds import (
    ThresholdRows,
    choose_thresholds,
    decisions,
    holds_max,
    least_shown,
    review_budget,
    thresholds_by_side,
)
from shared.scoring.thresholds import OFF, SideThresholds, Thresholds
from tests.unit.learning.synthetic import CONFIG
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


@given(ruled, st.floats(0.01, 0.99), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_thresholds_are_the_cheapest_within_the_review_budget_and_the_ceilings(
    rows: list[tuple[float, bool, int, int, int]], budget: float, share: float, precision: float
) -> None:
    scores, fraud, amount, weight, by_rule = (np.array(column) for column in zip(*rows, strict=True))
    by_rule, own = by_rule.astype(np.int8), by_rule < 2
    spec = msgspec.structs.replace(
        COSTS,
        review_share_max=budget,
        reviews_per_day_max=1e9,
        reject_share_max=share,
        reject_precision_min=precision,
    )
    table = decision_costs(scores, amount.astype(float), spec)
    most = max(budget * weight.sum(), weight[by_rule == 1].sum())

    def kept(taken: np.ndarray) -> bool:
        rejected = (taken == 2) & own
        if not rejected.any():
            return True
        for bad, chance in ((fraud.astype(float), 3), (scores, 0)):
            good = weight * (1 - bad)
            room = share * good.sum()
            turned_away, spread = good[rejected].sum(), np.sqrt((good[rejected] ** 2).sum())
            found = np.average(bad[rejected], weights=weight[rejected])
            if turned_away > 0.7 * room or turned_away + chance * spread > room or 0.7 * found < precision:
                return False
        return True

    def cost(hold: float, reject: float) -> float:
        taken = np.maximum(Thresholds(hold, reject).reached(scores), by_rule)
        total = float(weight @ table[np.arange(len(taken)), taken])
        return total if weight[taken == 1].sum() <= most + 1e-9 and kept(taken) else np.inf

    days = np.linspace(0, DAY, len(rows)).astype(np.int64)
    whole = ThresholdRows(
        scores, fraud, amount.astype(float), days, weight.astype(float), by_rule, np.zeros(len(rows), bool)
    )
    chosen = choose_thresholds(whole, spec)
    least = max(least_shown(scores, fraud), 1e-9)
    grid = [s for s in np.unique(scores) if s >= least] + [OFF]
    best = min(cost(hold, reject) for hold, reject in itertools.product(grid, grid) if hold <= reject)
    assert least <= chosen.hold <= chosen.reject or chosen.hold == OFF
    assert cost(chosen.hold, chosen.reject) == pytest.approx(best, rel=1e-9, abs=1e-3)


def paysim_like(rows: int, frauds: int, seed: int = 0) -> ThresholdRows:
    """A stream of 5 % frauds of large amounts that scores rank perfectly, with probabilities in between invented."""
    rng = np.random.default_rng(seed)
    fraud = np.arange(rows) < frauds
    scores = np.where(fraud, rng.uniform(0.99, 1, rows), rng.exponential(0.00015, rows))
    amount = rng.lognormal(np.where(fraud, 13, 11), 1.5)
    at = rng.integers(0, 10 * DAY, rows)
    ones = np.ones(rows)
    return ThresholdRows(scores, fraud, amount, at, ones, np.zeros(rows, np.int8), np.zeros(rows, bool))


SHIPPED = CONFIG.costs.payer


def test_where_scores_rank_perfectly_no_customer_is_turned_away_for_the_shape_of_a_curve() -> None:
    rows = paysim_like(20_000, 1_000)
    chosen = choose_thresholds(rows, SHIPPED)
    rejected = Thresholds(chosen.hold, chosen.reject).reached(rows.scores) == 2
    assert rejected[rows.fraud].mean() > 0.99
    assert not rejected[~rows.fraud].any()
    blind = choose_thresholds(rows._replace(fraud=np.zeros(20_000, bool)), SHIPPED)
    assert blind == Thresholds(hold=OFF, reject=OFF)  # no fraud shows any probability


@pytest.mark.parametrize("seed", range(5))
def test_good_customers_rejected_stay_within_the_ceiling_on_later_rows(seed: int) -> None:
    def blurred(seed: int) -> ThresholdRows:
        """5 % frauds of large amounts, of which some look like customers: each error costs a fortune."""
        rng = np.random.default_rng(seed)
        fraud = rng.random(60_000) < 0.05
        odds = 2 * rng.normal(2.0 * fraud, 1.0) - 2 + np.log(0.05 / 0.95)
        rows = paysim_like(60_000, 0, seed=seed)
        return rows._replace(
            scores=1 / (1 + np.exp(-odds)), fraud=fraud, amount=rows.amount * np.where(fraud, 7.0, 1.0)
        )

    chosen = choose_thresholds(blurred(seed), SHIPPED)
    later = blurred(seed + 100)
    rejected = chosen.reached(later.scores) == 2
    assert rejected[later.fraud].mean() > 0.02
    assert 0 < rejected[~later.fraud].mean() <= SHIPPED.reject_share_max
    assert later.fraud[rejected].mean() >= SHIPPED.reject_precision_min
    free = msgspec.structs.replace(SHIPPED, reject_share_max=0.999, reject_precision_min=1e-9)
    unbound = choose_thresholds(blurred(seed), free).reached(later.scores) == 2
    assert unbound[~later.fraud].mean() > 5 * SHIPPED.reject_share_max


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
        assert pair == choose_thresholds(own, spec)
    assert chosen.payee != chosen.payer


@pytest.mark.parametrize("payees", [0, 1, 60])
def test_a_side_with_few_frauds_has_thresholds_by_its_costs_on_all_rows(payees: int) -> None:
    rows = calibrated(4_000, payees)
    assert rows.at(rows.payees).fraud.sum() < ENOUGH
    assert thresholds_by_side(rows, BOTH, ENOUGH).payee == choose_thresholds(rows, DEAR)


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
