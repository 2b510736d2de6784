"""Shares of counts and ratios of shares, with intervals that are valid for small counts, and tests of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import norm

from shared.learning.judging.bootstrap import Estimate, Interval


def wilson(part: float, whole: float, confidence: float) -> Estimate:
    """Return the share `part / whole` with Wilson's score interval, valid for few cases and extreme shares.

    `whole` of 0 gives NaN with the interval from 0 to 1. Counts may be fractions (effective sample sizes).

    Source: Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion, Statistical Science, 2001.

    >>> wilson(9, 10, 0.95)
    Estimate(value=0.9, interval=Interval(low=0.595..., high=0.982...))
    >>> wilson(0, 0, 0.95).interval
    Interval(low=0.0, high=1.0)
    """
    if whole <= 0:
        return Estimate(np.nan, Interval(0.0, 1.0))
    z, share = float(norm.ppf((1 + confidence) / 2)), part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z / (1 + z * z / whole) * np.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return Estimate(share, Interval(max(0.0, float(middle - half)), min(1.0, float(middle + half))))


def share_ratio(one: tuple[float, float], other: tuple[float, float], confidence: float) -> Estimate:
    """Return the ratio of two independent shares, each (part, whole), with an interval on the logarithmic scale.

    Half a case is added to each part and whole, so that shares of zero have an interval.
    Source: Walter, The Distribution of Levin's Measure of Attributable Risk, Biometrika, 1975.

    >>> share_ratio((20, 100), (10, 100), 0.95)
    Estimate(value=2.0, interval=Interval(low=0.978..., high=3.89...))
    """
    (a, n), (b, m) = one, other
    if n <= 0 or m <= 0:
        return Estimate(np.nan, Interval(0.0, np.inf))
    middle = np.log((a + 0.5) / (n + 0.5)) - np.log((b + 0.5) / (m + 0.5))
    spread = np.sqrt(max(1 / (a + 0.5) - 1 / (n + 0.5) + 1 / (b + 0.5) - 1 / (m + 0.5), 0.0))
    half = float(norm.ppf((1 + confidence) / 2)) * spread
    value = (a / n) / (b / m) if b else np.inf if a else np.nan
    return Estimate(float(value), Interval(float(np.exp(middle - half)), float(np.exp(middle + half))))


def effective_cases(part: float, whole: float, squares: float) -> tuple[float, float]:
    """Return weighted sums as counts of equal weight with the same variance (effective sample size).

    `squares` is the sum of the squared weights of independent observations. Without it, one row that represents many
    Pix, or both sides of a Pix, would count as many independent observations.
    Source: Kish, Survey Sampling, Wiley, 1965.

    >>> effective_cases(2.0, 8.0, squares=16.0)
    (1.0, 4.0)
    """
    scale = whole / squares if squares > 0 else 0.0
    return float(part * scale), float(whole * scale)


def chance_of_loss(gained: float, lost: float) -> float:
    """Return the probability of at least `lost` losses among all changes if gains and losses are equally likely.

    This is the p-value of the exact one-sided sign test of paired outcomes; between whole numbers, which effective
    sample sizes are not, it is the continuous function through them.
    Source: McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions, Psychometrika, 1947.

    >>> chance_of_loss(0, 5)
    0.03125
    >>> chance_of_loss(0, 0)
    1.0
    """
    return float(betainc(lost, gained + 1, 0.5)) if lost > 0 else 1.0


def chance_of_share(part: float, whole: float, share: float) -> float:
    """Return the probability of at least `part` cases of `whole` where each is one with probability `share`.

    This is the p-value of the exact one-sided binomial test; between whole numbers, which sums of probabilities are
    not, it is the continuous function through them.
    Source: Clopper and Pearson, The Use of Confidence or Fiducial Limits, Biometrika, 1934.

    >>> round(chance_of_share(2, 3, 0.5), 12)
    0.5
    >>> chance_of_share(0, 3, 0.5)
    1.0
    """
    return float(betainc(part, whole - part + 1, share)) if part > 0 else 1.0


def changes(
    change: NDArray[np.floating] | NDArray[np.int8], weight: NDArray[np.float64], group: NDArray[np.intp], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the gains, losses and squared changes of groups of rows, each [size].

    `change` [n] is 1 for a gain, -1 for a loss and else 0. A group is one observation: its sign is that of its
    weighted sum, its weight the mean one of its changed rows.

    >>> changes(np.array([1, 1, -1]), np.array([1.0, 1.0, 3.0]), np.array([7, 7, 8]), 9)[0].tolist()[7:]
    [1.0, 0.0]
    """
    net, moved, rows = (np.bincount(group, one, size) for one in (weight * change, weight * abs(change), abs(change)))
    mean = np.divide(moved, rows, out=np.zeros(size), where=rows > 0)
    return mean * (net > 0), mean * (net < 0), mean**2 * (net != 0)


def adjusted(chances: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values [n] adjusted for n tests: the chance of any false rejection is at most the level.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics, 1979.

    >>> adjusted([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(chances, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)  # the smallest times n, the next times n - 1, ...
    result = np.empty(len(values))
    result[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return result
