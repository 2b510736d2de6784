"""Calibration is increasing, corrects distorted probabilities, and is chosen by log loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.learning.config import CalibrationMethod
from shared.learning.judging.evaluate import calibration_error
from shared.learning.training.calibrate import apply, choose_method, fit_calibration

METHODS: list[CalibrationMethod] = ["isotonic", "sigmoid"]


def apart(rows: np.ndarray) -> np.ndarray:
    """A Pix for each row."""
    return np.arange(len(rows), dtype=np.int32)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(1, 9)), min_size=2, max_size=200))
@settings(max_examples=50)
def test_calibration_increases_and_stays_in_the_unit_interval(
    rows: list[tuple[float, bool, int]],
) -> None:
    raw, fraud, weight = (np.array(column) for column in zip(*rows, strict=True))
    for method in METHODS:
        knots = fit_calibration(raw, fraud, weight.astype(float), apart(fraud), [method])
        assert np.all(np.diff(knots.x) > 0)
        assert np.all(np.diff(knots.y) >= 0)
        assert (knots.x[0], knots.y[0], knots.x[-1], knots.y[-1]) == (0, 0, 1, 1)
        assert len(knots.x) <= 202


@pytest.mark.parametrize("method", METHODS)
def test_calibration_corrects_a_distorted_probability(method: CalibrationMethod) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-4, 1.5, 200_000)
    truth = 1 / (1 + np.exp(-odds))
    fraud = rng.random(len(truth)) < truth
    raw, weight = 1 / (1 + np.exp(-(odds / 2 + 1))), np.ones(len(truth))
    knots = fit_calibration(raw, fraud, weight, apart(fraud), [method])
    assert calibration_error(raw, fraud, weight) > 0.1
    assert calibration_error(apply(knots, raw), fraud, weight) < 0.002


@pytest.mark.parametrize("method", METHODS)
def test_calibration_by_weight_corrects_sampling_of_legitimate_rows(method: CalibrationMethod) -> None:
    rng = np.random.default_rng(1)
    truth = rng.beta(1, 30, 100_000)
    fraud = rng.random(len(truth)) < truth
    kept = fraud | (rng.random(len(truth)) < 0.1)
    weight = np.where(fraud, 1.0, 10.0)[kept]
    scores = apply(fit_calibration(truth[kept], fraud[kept], weight, apart(weight), [method]), truth[kept])
    assert np.average(scores, weights=weight) == pytest.approx(fraud.mean(), rel=0.03)


def test_calibration_method_is_chosen_by_later_log_loss() -> None:
    rng = np.random.default_rng(2)
    truth = rng.beta(0.3, 5, 40_000)
    fraud, ones, pix = rng.random(len(truth)) < truth, np.ones(len(truth)), apart(truth)
    assert choose_method(truth, fraud, ones, pix, METHODS) == "sigmoid"  # already calibrated
    stepped = np.where(truth > 0.2, 0.5 + truth / 4, truth / 100)  # no sigmoid corrects this
    assert choose_method(stepped, fraud, ones, pix, METHODS) == "isotonic"
    assert choose_method(stepped, np.cumsum(fraud) <= 10, ones, pix, METHODS) == "sigmoid"  # too few frauds
    assert choose_method(truth, fraud, ones, pix, ["isotonic"]) == "isotonic"


def test_inverted_score_is_flattened_and_not_reversed() -> None:
    fraud = np.arange(1_000) < 100
    knots = fit_calibration(np.linspace(0.1, 0.9, 1_000), fraud, np.ones(1_000), apart(fraud), ["sigmoid"])
    assert apply(knots, np.array([0.1, 0.5, 0.9])) == pytest.approx(0.1, abs=0.01)
