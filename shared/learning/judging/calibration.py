"""Whether probabilities are true: frauds expected over frauds seen, and the slope of the log-odds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.pooled import fit_odds, log_odds
from shared.learning.judging.spread import Measured, measured


def log_ratio(scores: NDArray[np.float64], period: TestPeriod) -> Measured:
    """Return the logarithm of frauds expected by `scores` [n] over frauds seen, -inf if none is expected."""
    fraud, weight, block = period.truth.fraud, period.weight, period.resampling.block
    expected, seen = float(weight @ scores), float(weight @ fraud)
    if expected == 0:
        return Measured(-np.inf, 0.0, 0.0, int(block.max()) + 1)
    influence = weight * (scores / expected - fraud / seen)
    return measured(float(np.log(expected / seen)), influence, block, period.campaign)


def slope(scores: NDArray[np.float64], period: TestPeriod) -> Measured:
    """Return the slope of a logistic regression of fraud on the log-odds of `scores` [n], 1 if these are calibrated.

    Below 1 the scores are too extreme: high ones promise too much. Scores that are all equal have a slope of 0.
    Source: Cox, Two Further Applications of a Model for Binary Regression, Biometrika, 1958.
    """
    fraud, weight, block = period.truth.fraud, period.weight, period.resampling.block
    odds = log_odds(scores)
    if np.ptp(odds) == 0:
        return Measured(0.0, 0.0, 0.0, int(block.max()) + 1)
    fitted = fit_odds(np.column_stack([np.ones(len(odds)), odds]), fraud, weight)
    scale = float(np.sqrt(np.average((odds - np.average(odds, weights=weight)) ** 2, weights=weight)))
    residual = weight * (fraud - fitted.probability)
    influence = residual * (fitted.design @ np.linalg.inv(fitted.information)[:, 1]) / scale
    return measured(float(fitted.coefficients[1]), influence, block, period.campaign)
