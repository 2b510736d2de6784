"""Turn raw scores into probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from shared.scoring.bundle import Calibration

KNOTS_MAX = 200


def fit_calibration(raw: NDArray[np.float64], fraud: NDArray[np.bool_]) -> Calibration:
    """Return a strictly increasing, piecewise linear map through (0, 0) and (1, 1).

    Isotonic regression makes plateaus, whose ties lose the order within them; joining the centres of the plateaus
    keeps it. Source: Oron and Flournoy, Centered Isotonic Regression, Statistics in Biopharmaceutical Research, 2017.
    """
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(raw, fraud.astype(np.float64))
    levels, plateau = np.unique(fitted, return_inverse=True)
    centres = np.bincount(plateau, weights=raw) / np.bincount(plateau)
    inside = (levels > 0) & (levels < 1) & (centres > 0) & (centres < 1)
    x, y = _thinned(centres[inside], levels[inside])
    return Calibration([0.0, *x.tolist(), 1.0], [0.0, *y.tolist(), 1.0])


def apply(calibration: Calibration, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return calibrated probabilities [n]."""
    return np.interp(raw, calibration.x, calibration.y)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most KNOTS_MAX knots, evenly taken; centres of plateaus ascend, but for rounding."""
    ascending = np.concatenate([[True], np.diff(x) > 0]) if len(x) else np.zeros(0, dtype=bool)
    x, y = x[ascending], y[ascending]
    if len(x) <= KNOTS_MAX:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, KNOTS_MAX).round().astype(np.intp))
    return x[kept], y[kept]
