"""Figures and their intervals agree with scikit-learn's, count by weight, and do not depend on the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, f1_score, log_loss

from shared.learning.data.split import DAY, HOUR
from shared.learning.judging.bootstrap import Resampling, estimate
from shared.learning.judging.evaluate import (
    Evaluation,
    Scored,
    Truth,
    calibration_error,
    equal_bins,
    evaluate,
    saving,
)
from tests.unit.learning.judging.scored_rows import ROWS


def sample(rows: int = 5_000, seed: int = 0) -> tuple[Scored, Truth, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 20, rows).round(3)
    fraud = rng.random(rows) < scores
    decided = (scores > 0.15).astype(np.int8) + (scores > 0.25)
    amount = rng.lognormal(5, 1, rows)
    costs = np.where(fraud & (decided == 0), amount, 3.0 * (decided > 0))
    at = np.sort(rng.integers(0, 40 * DAY, rows))
    return Scored(scores, decided, costs), Truth(fraud, amount, at), rng.integers(1, 5, rows).astype(float)


def figures(scored: Scored, truth: Truth, weight: np.ndarray, resamples: int = 0) -> Evaluation:
    resampling = Resampling.of(truth.initiated_at, weight, resamples, 0)
    return evaluate(scored, truth, resampling, 0.01, 0.95)[0]


def test_figures_agree_with_scikit_learn() -> None:
    scored, truth, weight = sample()
    found = figures(scored, truth, weight)
    fraud, scores = truth.fraud, scored.scores
    assert found.brier == pytest.approx(brier_score_loss(fraud, scores, sample_weight=weight))
    assert found.log_loss == pytest.approx(log_loss(fraud, scores.clip(1e-7, 1), sample_weight=weight))
    assert found.f1 == pytest.approx(f1_score(fraud, scored.decisions > 0, sample_weight=weight))
    stopped = fraud & (scored.decisions > 0)
    assert found.value_detected == pytest.approx(
        (weight * truth.amount)[stopped].sum() / (weight * truth.amount)[fraud].sum()
    )
    assert found.cost_per_million == pytest.approx(np.average(scored.costs, weights=weight) * 1e6)
    assert found.holds_per_day == pytest.approx(found.held_share * found.pix / 40, rel=0.01)
    assert found.holds_busiest_day > found.holds_per_day


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    scored, truth, _ = sample(1_000)
    twice = np.repeat(np.arange(1_000), 2)
    doubled = figures(
        Scored._make(part[twice] for part in scored), Truth._make(part[twice] for part in truth), np.ones(2_000)
    )
    weighted = figures(scored, truth, np.full(1_000, 2.0))
    for name in set(Evaluation.__struct_fields__) - {"rows", "frauds"}:
        assert getattr(doubled, name) == pytest.approx(getattr(weighted, name)), name


@given(st.integers(0, 2**31))
@settings(max_examples=10)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    scored, truth, weight = sample(800)
    mixed = np.random.default_rng(seed).permutation(800)
    one = evaluate(scored, truth, Resampling.of(truth.initiated_at, weight, 50, 0), 0.01, 0.9)
    there = Resampling.of(truth.initiated_at[mixed], weight[mixed], 50, 0)
    other = evaluate(Scored._make(p[mixed] for p in scored), Truth._make(p[mixed] for p in truth), there, 0.01, 0.9)
    for name in Evaluation.__struct_fields__:
        assert getattr(one[0], name) == pytest.approx(getattr(other[0], name)), name
    for name, interval in one[1].items():
        assert (interval.low, interval.high) == pytest.approx((other[1][name].low, other[1][name].high)), name


def test_intervals_cover_the_truth_at_about_their_confidence() -> None:
    hits = 0
    for seed in range(60):
        scored, truth, _ = sample(4_000, seed)
        _, intervals = evaluate(
            scored, truth, Resampling.of(truth.initiated_at, np.ones(4_000), 200, seed), 0.01, 0.9
        )
        hits += intervals["calibration_ratio"].low <= 1 <= intervals["calibration_ratio"].high
    assert 47 <= hits <= 60  # 54 expected of 60


@given(ROWS)
def test_equal_costs_save_exactly_nothing(rows: list[tuple[float, bool, int]]) -> None:
    costs = np.array([score for score, _, _ in rows])
    resampling = Resampling.of(np.arange(len(rows)) * HOUR, np.ones(len(rows)), 50, 0)
    found = estimate(saving(costs, costs, resampling), 0.95)
    assert found.value == found.interval.low == found.interval.high == 0


@given(ROWS, st.floats(0.01, 5))
def test_lower_costs_in_every_row_save_more(rows: list[tuple[float, bool, int]], less: float) -> None:
    costs = np.array([score for score, _, _ in rows]) + 5
    resampling = Resampling.of(np.arange(len(rows)) * HOUR, np.ones(len(rows)), 50, 0)
    little, much = (estimate(saving(costs, costs - part, resampling), 0.95) for part in (less / 2, less))
    assert 0 < little.interval.low < much.interval.low


def test_bins_hold_equal_weight_and_keep_equal_scores_together() -> None:
    scores = np.repeat(np.linspace(0.01, 1, 100), 3)
    weight = np.tile([1.0, 2.0, 3.0], 100)
    bins = equal_bins(scores, weight)
    assert np.bincount(bins, weights=weight).tolist() == [60.0] * 10
    assert all(len(set(bins[scores == score])) == 1 for score in np.unique(scores))
    assert calibration_error(np.full(100, 0.3), np.arange(100) < 30, np.ones(100)) == pytest.approx(0)
