"""The odds of fraud by the scores of two contenders together, fitted to the labels of the period of the gate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SCORE_MIN = 1e-7  # float32 rounds 1 - p to 1 below about this
_STEPS = 50  # of Newton's method
_PRIOR = 1e-2  # weight of the prior of a standardised coefficient, in frauds; keeps separable classes finite


class FittedOdds(NamedTuple):
    """A logistic regression: covariates [n, k], coefficients [k], probabilities [n] and information matrix [k, k]."""

    design: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    probability: NDArray[np.float64]
    information: NDArray[np.float64]

    def projected(self, effect: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of the weighted sum of `effect` times probability by each row's label, [n].

        This is the part of an effect [n] that is a function of the covariates: one more fraud in a row moves the
        fitted probabilities of all rows like it.
        """
        p = self.probability
        gradient = self.design.T @ (weight * p * (1 - p) * effect)
        return np.asarray(self.design @ np.linalg.solve(self.information, gradient))


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-odds of scores [n], clipped away from 0 and 1."""
    inside = np.clip(scores, _SCORE_MIN, 1 - _SCORE_MIN)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def pooled_design(
    challenger: NDArray[np.float64],
    incumbent: NDArray[np.float64] | None,
    by_rule: NDArray[np.int8],
    amount: NDArray[np.float64],
    fraud: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the covariates of the pooled odds, float64 [n, k]; `incumbent` is None for the rules alone.

    Both scores speak by their mean log-odds, with a bend at the median fraud, and by their difference, so neither
    contender's own calibration counts. The rules speak by their decision, and all by the amount.
    """
    own = log_odds(challenger)
    other = own if incumbent is None else log_odds(incumbent)
    mean = (own + other) / 2
    bend = np.maximum(mean - np.median(mean[fraud]), 0.0)
    held, rejected = ((by_rule == severity).astype(np.float64) for severity in (1, 2))
    columns = [np.ones(len(own)), mean, bend, own - other, held, rejected, np.log1p(amount)]
    return np.column_stack([columns[0], *(column for column in columns[1:] if np.ptp(column) > 0)])


def fit_odds(design: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> FittedOdds:
    """Return the odds that fit best, by Newton's method with a weak normal prior on every slope.

    Source: Gelman et al., A Weakly Informative Default Prior for Logistic and Other Regression Models, 2008.
    """
    centre = np.average(design, axis=0, weights=weight)
    scale = np.sqrt(np.average((design - centre) ** 2, axis=0, weights=weight))
    centre[0], scale[0] = 0.0, 1.0
    standard = (design - centre) / scale
    prior = np.diag([0.0, *np.full(design.shape[1] - 1, _PRIOR)])
    rate = (weight @ fraud + 0.5) / (weight.sum() + 1)
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(rate / (1 - rate))
    loss = _loss(standard, fraud, weight, prior, beta)
    for _ in range(_STEPS):
        p = _probability(standard @ beta)
        information = (standard * (weight * p * (1 - p))[:, None]).T @ standard + prior
        step = np.linalg.solve(information, standard.T @ (weight * (fraud - p)) - prior @ beta)
        for _ in range(_STEPS):  # halved until the fit is better, as a full step may go too far
            found = _loss(standard, fraud, weight, prior, beta + step)
            if found <= loss + 1e-12 * abs(loss):
                break
            step /= 2
        beta, loss, moved = beta + step, min(found, loss), float(np.abs(step).max())
        if moved < 1e-7:
            break
    p = _probability(standard @ beta)
    information = (standard * (weight * p * (1 - p))[:, None]).T @ standard + prior
    return FittedOdds(standard, beta / scale, p, information)


def _probability(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -odds)))


def _loss(
    design: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
    prior: NDArray[np.float64],
    beta: NDArray[np.float64],
) -> float:
    odds = design @ beta
    return float(weight @ (np.logaddexp(0, odds) - odds * fraud) + beta @ prior @ beta / 2)
