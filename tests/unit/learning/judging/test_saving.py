"""The expected saving is that of the labels with less chance in it, and its errors allow for campaigns."""

from __future__ import annotations

import numpy as np
import pytest

from shared.learning.judging.pooled import fit_odds, log_odds, pooled_design
from shared.learning.judging.saving import Rows, Saving, realised_saving
from shared.learning.judging.spread import Measured, measured
from tests.benchmarks.gate_worlds.looks import compared
from tests.benchmarks.gate_worlds.planted import SETTINGS, policies
from tests.benchmarks.gate_worlds.world import World, cost_per_million, with_staff
from tests.unit.learning.synthetic import CONFIG

COSTS = CONFIG.costs.payer
REPEATS = 60


def savings(better: bool, frauds: int = 150) -> tuple[list[Saving], float]:
    """Savings in repeated periods of a challenger that equals the champion, or is better, and the true saving."""
    setting = SETTINGS[0]
    world, known = World(setting.prevalence), policies(setting, COSTS)
    quality = setting.better if better else setting.champion
    limits = known.champion.thresholds
    found = []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        rows = world.stream(rng, frauds, 6_000, 36)
        scores = world.scores(rows, quality, rng), world.scores(rows, setting.champion, rng)
        found.append(compared(rows, *scores, limits, CONFIG))
    rng = np.random.default_rng(REPEATS)
    large = world.stream(rng, 60_000, 200_000, 36)
    costs = [
        cost_per_million(large, limits.reached(world.scores(large, one, rng)), with_staff(COSTS))
        for one in (setting.champion, quality)
    ]
    return found, costs[0] - costs[1]


@pytest.mark.parametrize(("better", "share"), [(False, 0.85), (True, 1.0)])
def test_the_expected_saving_is_as_true_as_the_realised_one_and_more_precise(better: bool, share: float) -> None:
    found, truth = savings(better)
    expected, realised = ([getattr(one, name) for one in found] for name in ("expected", "realised"))
    spread = float(np.std([one.value for one in expected]))
    assert np.mean([one.value for one in expected]) == pytest.approx(truth, abs=4 * spread / REPEATS**0.5)
    assert spread < share * np.std([one.value for one in realised])
    for measures in (expected, realised):
        covered = sum(one.interval(0.9).low <= truth <= one.interval(0.9).high for one in measures)
        assert 46 <= covered <= REPEATS  # 54 are expected of 60


def test_a_skewed_saving_has_its_limits_at_different_distances() -> None:
    straight, skewed = Measured(1.0, 1.0, 0.0, 36), Measured(1.0, 1.0, 0.5, 36)
    ends = straight.interval(0.95)
    assert 1.0 - ends.low == pytest.approx(ends.high - 1.0)
    longer = skewed.interval(0.95)
    assert longer.high - 1.0 > ends.high - 1.0
    assert 1.0 - longer.low < 1.0 - ends.low
    assert skewed.lower(0.001) < skewed.lower(0.01) < skewed.lower(0.1) < 1.0
    assert straight.detectable(0.01) > straight.detectable(0.05) > 2.4


def test_limits_for_skewness_miss_a_skewed_mean_less_often_than_symmetric_ones() -> None:
    missed = {"cubic": 0, "symmetric": 0}
    for seed in range(400):
        values = np.random.default_rng(seed).lognormal(0, 1.5, 150)
        rows = np.arange(150)
        found = measured(float(values.mean()), (values - values.mean()) / 150, rows, rows)
        for name, one in (("cubic", found), ("symmetric", Measured(found.value, found.error, 0.0, found.blocks))):
            missed[name] += one.interval(0.9).high < np.exp(1.5**2 / 2)
    assert 20 < missed["cubic"] < 0.7 * missed["symmetric"]  # 20 are nominal


def test_rows_of_a_campaign_or_a_day_that_are_alike_widen_the_error() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 100, 2_000)
    alike = rng.normal(size=100)[group] / 2_000
    alone, day = np.arange(2_000), rng.integers(0, 36, 2_000)
    independent = measured(0.0, alike, day, alone).error
    assert measured(0.0, alike, day, group).error > 3 * independent
    assert measured(0.0, alike, group, alone).error > 3 * independent


def test_pooled_odds_ignore_each_contenders_own_calibration() -> None:
    setting = SETTINGS[0]
    world, rng = World(setting.prevalence), np.random.default_rng(0)
    rows = world.stream(rng, 300, 6_000, 36)
    one, other = (world.scores(rows, setting.champion, rng) for _ in range(2))
    rules = np.zeros(len(one), np.int8)

    def probability(first: np.ndarray) -> np.ndarray:
        design = pooled_design(first, other, rules, rows.amount, rows.fraud)
        found: np.ndarray = fit_odds(design, rows.fraud, rows.weight).probability
        return found

    boastful = 1 / (1 + np.exp(-(2 * log_odds(one) + 5)))
    top = one > 0.01
    np.testing.assert_allclose(probability(one)[top], probability(boastful)[top], rtol=0.25)
    for found in (probability(one), probability(boastful)):
        assert rows.weight @ found == pytest.approx(300, rel=1e-3)


def test_odds_of_separable_classes_are_finite() -> None:
    fraud = np.arange(1_000) < 50
    design = np.column_stack([np.ones(1_000), np.where(fraud, 10.0, -10.0)])
    fitted = fit_odds(design, fraud, np.ones(1_000))
    assert np.all(np.isfinite(fitted.coefficients))
    assert fitted.probability[fraud].min() > 0.95 > 0.01 > fitted.probability[~fraud].max()


def test_equal_decisions_save_exactly_nothing_without_an_error() -> None:
    rows = np.arange(40)
    found = realised_saving(Rows(rows < 5, np.ones(40), np.zeros((40, 2)), rows, rows))
    assert (found.value, found.error, found.interval(0.95).low) == (0.0, 0.0, 0.0)
