"""Calibrate raw scores to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from shared.learning.config import CalibrationMethod
from shared.learning.data.label_chance import effective
from shared.scoring.bundle import Calibration

KNOTS_MAX = 200
"""Most inner knots of a calibration, which a function interpolates for every Pix."""
_FRAUDS_MIN = 20  # as if of equal weight, in either half; with fewer, few parameters are safer than a noisy choice
_PROBABILITY_MIN = 1e-7  # float32 rounds 1 - p to 1 below about this
_SLOPE_MIN = 1e-3  # above zero, so that the map stays strictly increasing


def fit_calibration(
    raw: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
    pix: NDArray[np.int32],
    methods: Sequence[CalibrationMethod],
) -> Calibration:
    """Return a strictly increasing, piecewise linear map through (0, 0) and (1, 1), by the best of `methods`.

    `raw` [n] is in order of time; `weight` [n] is the number of Pix that each row stands for, `pix` [n] numbers them.
    """
    return _FITS[choose_method(raw, fraud, weight, pix, methods)](raw, fraud, weight)


def choose_method(
    raw: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
    pix: NDArray[np.int32],
    methods: Sequence[CalibrationMethod],
) -> CalibrationMethod:
    """Return the method that, fitted to the earlier half of the rows, has the least log loss on the later half.

    Both sides of a Pix are in the same half.
    With few frauds in either half it is the sigmoid, if among `methods`: isotonic regression overfits small samples.
    Source: Niculescu-Mizil and Caruana, Predicting Good Probabilities with Supervised Learning, ICML 2005.
    """
    if len(methods) == 1:
        return methods[0]
    middle = int(np.searchsorted(pix, pix[len(raw) // 2]))
    earlier, later = slice(0, middle), slice(middle, len(raw))
    if min(effective(weight[half][fraud[half]]) for half in (earlier, later)) < _FRAUDS_MIN:
        return "sigmoid" if "sigmoid" in methods else methods[0]

    def loss(method: CalibrationMethod) -> float:
        fitted = _FITS[method](raw[earlier], fraud[earlier], weight[earlier])
        return float(weight[later] @ log_losses(apply(fitted, raw[later]), fraud[later]))

    return min(methods, key=loss)


def apply(calibration: Calibration, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return calibrated probabilities [n]."""
    return np.interp(raw, calibration.x, calibration.y)


def log_losses(scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the log loss of each row [n], with scores clipped away from 0 and 1.

    >>> log_losses(np.array([0.5, 1.0]), np.array([True, True])).round(4).tolist()
    [0.6931, 0.0]
    """
    return np.asarray(-np.log(np.clip(np.where(fraud, scores, 1 - scores), _PROBABILITY_MIN, 1 - _PROBABILITY_MIN)))


def _isotonic(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Calibration:
    """Return centred isotonic regression: the centres of the plateaus, joined by lines.

    Plain isotonic regression maps a plateau to one value, which would lose the order of the scores within it.
    Source: Oron and Flournoy, Centered Isotonic Regression, Statistics in Biopharmaceutical Research, 2017.
    """
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(raw, fraud.astype(np.float64), weight).predict(raw)
    levels, plateau = np.unique(fitted, return_inverse=True)
    centres = np.bincount(plateau, weights=raw * weight) / np.bincount(plateau, weights=weight)
    return _through_corners(centres, levels)


def _sigmoid(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Calibration:
    """Return Platt scaling: a logistic regression on the log-odds, at knots evenly spaced in log-odds.

    Targets are smoothed, so that separable classes have a finite solution, and the slope is kept positive, so that
    the map cannot reverse the order of scores.
    Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    odds = log_odds(raw)
    frauds, legitimate = weight[fraud].sum(), weight[~fraud].sum()
    target = np.where(fraud, (frauds + 1) / (frauds + 2), 1 / (legitimate + 2))
    total = weight.sum()

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the mean cross-entropy at (slope, intercept) and its gradient."""
        z = line[0] * odds + line[1]
        residual = weight * (_expit(z) - target) / total
        cross_entropy = np.logaddexp(0, z) - target * z  # in z, as the logarithm of a probability of 0 is infinite
        return float(weight @ cross_entropy / total), np.array([residual @ odds, residual.sum()])

    line = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(_SLOPE_MIN, None), (None, None)]
    ).x
    grid = np.linspace(log_odds(np.zeros(1))[0], log_odds(np.ones(1))[0], KNOTS_MAX)
    return _through_corners(_expit(grid), _expit(line[0] * grid + line[1]))


_FITS = {"isotonic": _isotonic, "sigmoid": _sigmoid}


def log_odds(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-odds of raw scores [n], clipped away from 0 and 1."""
    inside = np.clip(raw, _PROBABILITY_MIN, 1 - _PROBABILITY_MIN)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _expit(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _through_corners(x: NDArray[np.float64], y: NDArray[np.float64]) -> Calibration:
    """Return a map through at most KNOTS_MAX of the knots (x, y), evenly chosen, between (0, 0) and (1, 1)."""
    inside = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    x, y = x[inside], y[inside]
    # Centres ascend in exact arithmetic; rounding may make two of them equal.
    ascending = np.concatenate([[True], np.diff(x) > 0]) if len(x) else np.zeros(0, dtype=bool)
    x, y = x[ascending], y[ascending]
    kept = np.unique(np.linspace(0, len(x) - 1, min(KNOTS_MAX, len(x))).round().astype(np.intp))
    return Calibration([0.0, *x[kept].tolist(), 1.0], [0.0, *y[kept].tolist(), 1.0])
