"""Calibration, costs, thresholds and the profile."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.learning.config import CostSpec
from shared.learning.data.profile import describe
from shared.learning.data.split import DAY
from shared.learning.judging.evaluate import calibration_error
from shared.learning.training.calibrate import apply, choose_method, fit_calibration
from shared.learning.training.costs import decision_costs, with_rules
from shared.learning.training.thresholds import NEVER, choose_thresholds, decisions, holds_max
from shared.scoring.bundle import Thresholds

COSTS = CostSpec(
    0.1, 0.8, review=4, friction_hold=1, friction_reject=20, review_share_max=0.5, reviews_per_day_max=500
)


METHODS = ["isotonic", "sigmoid"]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(1, 9)), min_size=2, max_size=200))
@settings(max_examples=50)
def test_calibration_is_strictly_increasing_in_x_and_stays_in_the_unit_interval(rows) -> None:
    raw, fraud, weight = (np.array(column) for column in zip(*rows, strict=True))
    for method in METHODS:
        knots = fit_calibration(raw, fraud, weight.astype(float), [method])
        assert np.all(np.diff(knots.x) > 0)
        assert np.all(np.diff(knots.y) >= 0)
        assert (knots.x[0], knots.y[0], knots.x[-1], knots.y[-1]) == (0, 0, 1, 1)
        assert len(knots.x) <= 202


@pytest.mark.parametrize("method", METHODS)
def test_calibration_corrects_a_distorted_probability(method) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-4, 1.5, 200_000)
    truth = 1 / (1 + np.exp(-odds))
    fraud = rng.random(len(truth)) < truth
    raw, weight = 1 / (1 + np.exp(-(odds / 2 + 1))), np.ones(len(truth))
    knots = fit_calibration(raw, fraud, weight, [method])
    assert calibration_error(raw, fraud, weight) > 0.1
    assert calibration_error(apply(knots, raw), fraud, weight) < 0.002


@pytest.mark.parametrize("method", METHODS)
def test_calibration_by_weight_corrects_sampling_of_legitimate_rows(method) -> None:
    rng = np.random.default_rng(1)
    truth = rng.beta(1, 30, 100_000)
    fraud = rng.random(len(truth)) < truth
    kept = fraud | (rng.random(len(truth)) < 0.1)
    weight = np.where(fraud, 1.0, 10.0)[kept]
    scores = apply(fit_calibration(truth[kept], fraud[kept], weight, [method]), truth[kept])
    assert np.average(scores, weights=weight) == pytest.approx(fraud.mean(), rel=0.03)


def test_calibration_method_is_chosen_by_later_log_loss() -> None:
    rng = np.random.default_rng(2)
    truth = rng.beta(0.3, 5, 40_000)
    fraud, ones = rng.random(len(truth)) < truth, np.ones(len(truth))
    assert choose_method(truth, fraud, ones, METHODS) == "sigmoid"  # already calibrated
    stepped = np.where(truth > 0.2, 0.5 + truth / 4, truth / 100)  # no sigmoid corrects this
    assert choose_method(stepped, fraud, ones, METHODS) == "isotonic"
    assert choose_method(stepped, np.cumsum(fraud) <= 10, ones, METHODS) == "sigmoid"  # too few frauds to compare
    assert choose_method(truth, fraud, ones, ["isotonic"]) == "isotonic"


def test_inverted_score_is_flattened_and_not_reversed() -> None:
    fraud = np.arange(1_000) < 100
    knots = fit_calibration(np.linspace(0.1, 0.9, 1_000), fraud, np.ones(1_000), ["sigmoid"])
    assert apply(knots, np.array([0.1, 0.5, 0.9])) == pytest.approx(0.1, abs=0.01)


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
def test_thresholds_are_the_cheapest_within_the_review_budget(rows, budget) -> None:
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


def test_costs_are_those_of_the_severer_decision_of_rule_and_model() -> None:
    table = decision_costs(np.array([True, False]), np.array([100.0, 100.0]), COSTS)
    seen = with_rules(table, np.array([1, 2], np.int8))
    np.testing.assert_allclose(seen, [[table[0, 1], table[0, 1], table[0, 2]], [table[1, 2]] * 3])


def test_profile_counts_every_value_and_has_no_median_if_most_are_missing() -> None:
    column = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert sum(describe(column)["counts"]) == 1000
    assert describe(column)["median"] == pytest.approx(np.median(column))
    column[:600] = np.nan
    assert describe(column)["median"] is None
    assert describe(np.full(5, np.nan))["missing"] == 1.0
    msgspec.json.encode(describe(column))
