"""Turn raw scores into probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from shared.learning.config import CalibrationMethod
from shared.scoring.bundle import Calibration

KNOTS_MAX = 200
_FRAUDS_MIN = 20  # in either half, below which two methods cannot be told apart and few parameters are safer
_LEAST = 1e-7  # scores are float32: log-odds further out are rounding
_SLOPE_MIN = 1e-3


def fit_calibration(
    raw: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
    methods: Sequence[CalibrationMethod],
) -> Calibration:
    """Return a strictly increasing, piecewise linear map through (0, 0) and (1, 1), by the best of `methods`.

    `raw` [n] are in order of time; `weight` [n] says how many Pix each stands for.
    """
    return _FITS[choose_method(raw, fraud, weight, methods)](raw, fraud, weight)


def choose_method(
    raw: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
    methods: Sequence[CalibrationMethod],
) -> CalibrationMethod:
    """Return the method that, fitted to the earlier half of the rows, has the least log loss on the later half.

    With few frauds in either half the sigmoid is taken if it is among `methods`: isotonic regression overfits them.
    Source: Niculescu-Mizil and Caruana, Predicting Good Probabilities with Supervised Learning, ICML 2005.
    """
    if len(methods) == 1:
        return methods[0]
    earlier, later = slice(0, len(raw) // 2), slice(len(raw) // 2, len(raw))
    if min(fraud[earlier].sum(), fraud[later].sum()) < _FRAUDS_MIN:
        return "sigmoid" if "sigmoid" in methods else methods[0]

    def loss(method: CalibrationMethod) -> float:
        fitted = _FITS[method](raw[earlier], fraud[earlier], weight[earlier])
        return float(weight[later] @ log_losses(apply(fitted, raw[later]), fraud[later]))

    return min(methods, key=loss)


def apply(calibration: Calibration, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return calibrated probabilities [n]."""
    return np.interp(raw, calibration.x, calibration.y)


def log_losses(scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the logarithmic loss of each row [n], with scores kept off 0 and 1.

    >>> log_losses(np.array([0.5, 1.0]), np.array([True, True])).round(4).tolist()
    [0.6931, 0.0]
    """
    return np.asarray(-np.log(np.clip(np.where(fraud, scores, 1 - scores), _LEAST, 1 - _LEAST)))


def _isotonic(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Calibration:
    """Return isotonic regression without plateaus, whose ties would lose the order within them.

    The centres of the plateaus are joined instead.
    Source: Oron and Flournoy, Centered Isotonic Regression, Statistics in Biopharmaceutical Research, 2017.
    """
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(raw, fraud.astype(np.float64), weight).predict(raw)
    levels, plateau = np.unique(fitted, return_inverse=True)
    centres = np.bincount(plateau, weights=raw * weight) / np.bincount(plateau, weights=weight)
    return _through_corners(centres, levels)


def _sigmoid(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Calibration:
    """Return the logistic regression on the log-odds, at knots even in log-odds.

    Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999; targets are smoothed as there, so that
    separable examples have a finite solution. The slope is kept positive: a map must not turn the order around.
    """
    odds = _log_odds(raw)
    frauds, legitimate = weight[fraud].sum(), weight[~fraud].sum()
    target = np.where(fraud, (frauds + 1) / (frauds + 2), 1 / (legitimate + 2))
    total = weight.sum()

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = line[0] * odds + line[1]
        off = weight * (_expit(z) - target) / total
        return float(weight @ (np.logaddexp(0, z) - target * z) / total), np.array([off @ odds, off.sum()])

    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(_SLOPE_MIN, None), (None, None)]
    )
    grid = np.linspace(_log_odds(np.zeros(1))[0], _log_odds(np.ones(1))[0], KNOTS_MAX)
    return _through_corners(_expit(grid), _expit(found.x[0] * grid + found.x[1]))


_FITS = {"isotonic": _isotonic, "sigmoid": _sigmoid}


def _log_odds(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(raw, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _expit(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _through_corners(x: NDArray[np.float64], y: NDArray[np.float64]) -> Calibration:
    """Return at most KNOTS_MAX of these knots, evenly taken, between (0, 0) and (1, 1)."""
    inside = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    x, y = x[inside], y[inside]
    ascending = np.concatenate([[True], np.diff(x) > 0]) if len(x) else np.zeros(0, dtype=bool)  # but for rounding
    x, y = x[ascending], y[ascending]
    kept = np.unique(np.linspace(0, len(x) - 1, min(KNOTS_MAX, len(x))).round().astype(np.intp))
    return Calibration([0.0, *x[kept].tolist(), 1.0], [0.0, *y[kept].tolist(), 1.0])
