"""Calibration, costs, thresholds and the gate."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.calibrate import apply, fit_calibration
from shared.learning.config import CostSpec, GateSpec
from shared.learning.costs import losses, per_million, with_rules
from shared.learning.evaluate import Evaluation, calibration_error
from shared.learning.gate import Contender, judge
from shared.learning.policy import NEVER, choose_thresholds, decisions
from shared.learning.profile import describe
from shared.scoring.bundle import Thresholds

COSTS = CostSpec(
    0.1, 0.8, review=4, friction_hold=1, friction_reject=20, review_share_max=0.5, reviews_per_day_max=500
)
scored = st.lists(st.tuples(st.floats(0, 1, width=16), st.booleans(), st.integers(1, 5_000)), min_size=2, max_size=40)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=200))
def test_calibration_is_strictly_increasing_in_x_and_stays_in_the_unit_interval(rows) -> None:
    raw, fraud = np.array([r for r, _ in rows]), np.array([f for _, f in rows])
    knots = fit_calibration(raw, fraud)
    assert np.all(np.diff(knots.x) > 0)
    assert np.all(np.diff(knots.y) >= 0)
    assert (knots.x[0], knots.y[0], knots.x[-1], knots.y[-1]) == (0, 0, 1, 1)


def test_calibration_turns_a_distorted_score_into_a_probability_and_has_few_knots() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 20, 200_000)
    fraud = rng.random(len(truth)) < truth
    knots = fit_calibration(np.sqrt(truth), fraud)
    assert len(knots.x) <= 202
    assert calibration_error(np.sqrt(truth), fraud) > 0.1
    assert calibration_error(apply(knots, np.sqrt(truth)), fraud) < 0.002


@given(scored, st.floats(0.01, 0.99))
def test_thresholds_are_the_cheapest_that_the_review_budget_allows(rows, budget) -> None:
    scores = np.array([score for score, _, _ in rows], np.float64)
    table = losses(np.array([f for _, f, _ in rows]), np.array([a for _, _, a in rows], np.float64), COSTS)
    no_rule = np.zeros(len(rows), np.int8)

    def cost(hold: float, reject: float) -> float:
        taken = decisions(scores, Thresholds(hold, reject), no_rule)
        return per_million(table, taken) if (taken == 1).sum() <= budget * len(rows) else np.inf

    chosen = choose_thresholds(scores, table, budget)
    grid = [s for s in np.unique(scores) if s > 1e-9] + [NEVER]
    best = min(cost(hold, reject) for hold, reject in itertools.product(grid, grid) if hold <= reject)
    assert 0 < chosen.hold <= chosen.reject
    assert cost(chosen.hold, chosen.reject) == pytest.approx(best, rel=1e-9, abs=1e-3)


def test_costs_count_the_severer_of_rule_and_model() -> None:
    table = losses(np.array([True, False]), np.array([100.0, 100.0]), COSTS)
    seen = with_rules(table, np.array([1, 2], np.int8))
    np.testing.assert_allclose(seen, [[table[0, 1], table[0, 1], table[0, 2]], [table[1, 2]] * 3])


def test_a_profile_counts_every_value_once_and_has_no_median_where_values_are_usually_missing() -> None:
    column = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert sum(describe(column)["counts"]) == 1000
    assert describe(column)["median"] == pytest.approx(np.median(column))
    column[:600] = np.nan
    assert describe(column)["median"] is None
    assert describe(np.full(5, np.nan))["missing"] == 1.0
    msgspec.json.encode(describe(column))


SPEC = GateSpec(
    resamples=200,
    confidence=0.95,
    average_precision_margin=0.02,
    calibration_margin=0.02,
    alert_volume_margin=0.5,
    segment_margin=0.2,
    segment_frauds_min=30,
    lift_min=3,
    optimism_max=0.3,
    single_feature_max=0.95,
)
EQUAL = Evaluation(10_000, 100, 0.5, 0.9, 0.01, 0.05, 0.001, 0.5, 0.5, 0.5, 1e6, 0.01, 0.01)


def contender(trained_until: float | None = 1.0, **figures: float) -> Contender:
    return Contender("it", msgspec.structs.replace(EQUAL, **figures), trained_until)


@pytest.mark.parametrize(
    ("challenger", "promote"),
    [
        (contender(), False),
        (contender(cost_per_million=0.99e6), True),
        (contender(trained_until=2.0), True),
        (contender(trained_until=2.0, cost_per_million=1.03e6), False),
        (contender(cost_per_million=0.5e6, average_precision=0.47), False),
        (contender(cost_per_million=0.5e6, average_precision=0.49), True),
    ],
)
def test_the_champion_stays_unless_the_challenger_is_cheaper_or_fresher_and_not_worse(challenger, promote) -> None:
    verdict = judge(challenger, contender(), SPEC)
    assert verdict.promote is promote
    assert verdict.reasons


def test_against_the_rules_only_cost_counts_and_chance_is_not_enough() -> None:
    rules = contender(trained_until=None, average_precision=0.01)
    assert not judge(contender(trained_until=5.0), rules, SPEC).promote
    assert judge(contender(cost_per_million=0.9e6), rules, SPEC).promote
    assert not judge(contender(cost_per_million=0.9e6, average_precision=0.02), rules, SPEC).promote
