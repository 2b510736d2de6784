"""Performance before labels, against labels drawn by the scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shared.learning.monitoring.dispersion import Dispersion
from shared.learning.monitoring.estimate import (
    ScoreSums,
    expected_frauds,
    expected_missed,
    expected_missed_brl,
    expected_precision,
    expected_recall,
)

RNG = np.random.default_rng(5)
SCORES = np.concatenate([RNG.uniform(0, 0.01, 3_000), RNG.uniform(0.2, 0.9, 120)])
AMOUNTS = RNG.lognormal(5, 1, len(SCORES))
STOPPED = SCORES > 0.4
SPREAD = SCORES * (1 - SCORES)
SUMS = ScoreSums(
    rows=len(SCORES),
    stopped=int(STOPPED.sum()),
    expected=float(SCORES.sum()),
    spread=float(SPREAD.sum()),
    stopped_expected=float(SCORES[STOPPED].sum()),
    stopped_spread=float(SPREAD[STOPPED].sum()),
    missed_brl=float((SCORES * AMOUNTS)[~STOPPED].sum()),
    missed_brl_spread=float((SPREAD * AMOUNTS**2)[~STOPPED].sum()),
)
INDEPENDENT, BURSTS = (Dispersion(factor, 10_000, "MATURED") for factor in (1.0, 4.0))
WORLDS = RNG.uniform(size=(2_000, len(SCORES))) < SCORES


of_each_measure = pytest.mark.parametrize(
    ("measure", "truth"),
    [
        (expected_frauds, WORLDS.sum(axis=1)),
        (expected_missed, WORLDS[:, ~STOPPED].sum(axis=1)),
        (expected_missed_brl, WORLDS[:, ~STOPPED] @ AMOUNTS[~STOPPED]),
        (expected_precision, WORLDS[:, STOPPED].mean(axis=1)),
        (expected_recall, WORLDS[:, STOPPED].sum(axis=1) / WORLDS.sum(axis=1)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)


@of_each_measure
def test_the_interval_covers_labels_drawn_by_the_scores(measure: object, truth: np.ndarray) -> None:
    assert callable(measure)
    found = measure(SUMS, INDEPENDENT)
    covered = np.mean((found.interval.low <= truth) & (truth <= found.interval.high))
    assert 0.86 <= covered <= 0.95
    assert found.value == pytest.approx(truth.mean(), rel=0.03)


@of_each_measure
def test_frauds_that_come_in_bursts_widen_the_interval_alone(measure: object, truth: np.ndarray) -> None:
    assert callable(measure)
    narrow, wide = measure(SUMS, INDEPENDENT), measure(SUMS, BURSTS)
    assert wide.value == narrow.value == pytest.approx(truth.mean(), rel=0.03)
    below = [one.value - one.interval.low for one in (narrow, wide)]
    assert below[1] == pytest.approx(min(2 * below[0], wide.value))
    above = [one.interval.high - one.value for one in (narrow, wide)]
    assert above[1] > 1.5 * above[0] or wide.interval.high == 1.0


def test_of_nothing_stopped_no_precision_is_known() -> None:
    none = ScoreSums(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert math.isnan(expected_precision(none, INDEPENDENT).value)
    assert math.isnan(expected_recall(none, INDEPENDENT).value)
