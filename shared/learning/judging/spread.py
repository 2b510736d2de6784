"""Standard errors of sums over rows that are alike within clusters, and limits that allow for skewness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import t as student

from shared.learning.judging.bootstrap import Interval

POWER = 0.8
"""Chance with which a detectable saving is seen: the usual one of planned trials."""


class Measured(Struct, frozen=True):
    """An estimate, its standard error, its skewness, and the number of time blocks that it rests on."""

    value: float
    error: float
    skewness: float
    blocks: int

    def lower(self, level: float) -> float:
        """Return the value that the truth is below with a chance of at most `level`."""
        return self.value - self.error * self._studentised(1 - level)

    def interval(self, confidence: float) -> Interval:
        """Return the central interval, whose two ends are at different distances if the estimate is skewed."""
        level = (1 - confidence) / 2
        return Interval(self.lower(level), self.value - self.error * self._studentised(level))

    def detectable(self, level: float) -> float:
        """Return the least truth that would be seen above zero at `level` with a chance of POWER."""
        return self.error * (self._quantile(1 - level) + self._quantile(POWER))

    def _studentised(self, share: float) -> float:
        """Return a quantile of the studentised estimate, by inversion of Hall's cubic transformation.

        Losses are skewed: a symmetric interval of them is too short on one side and too long on the other.
        Source: Hall, On the Removal of Skewness by Transformation, Journal of the Royal Statistical Society B, 1992.
        """
        quantile, g = self._quantile(share), self.skewness
        if abs(g) < 1e-6:
            return quantile
        return float(3 / g * (np.cbrt(1 + g * (quantile - g / 6)) - 1))

    def _quantile(self, share: float) -> float:
        return float(student.ppf(share, max(self.blocks - 1, 1)))


def measured(
    value: float, influence: NDArray[np.float64], block: NDArray[np.intp], campaign: NDArray[np.intp]
) -> Measured:
    """Return an estimate with its standard error by clusters of time and of campaign, both ways at once.

    `influence` [n] is the contribution of each row to the error of the estimate; it sums to zero. `block` and
    `campaign` [n] are its time block and its campaign. The variance of two-way clusters is the sum of both one-way
    variances less that of the intersections; as this difference is noisy, it counts only where it is larger than
    either of them.
    Source: Cameron, Gelbach and Miller, Robust Inference with Multiway Clustering, JBES, 2011.

    >>> rows = np.array([1.0, -1.0, 1.0, -1.0])
    >>> day, alone = np.array([0, 0, 1, 1]), np.arange(4)
    >>> measured(5.0, rows, day, alone).error, measured(5.0, rows, np.array([0, 1, 0, 1]), alone).error
    (2.309..., 4.0)
    """
    pairs = np.unique(block * np.int64(campaign.max() + 1) + campaign, return_inverse=True)[1]
    by_block, by_campaign, by_pair = (_moments(influence, group) for group in (block, campaign, pairs))
    variance = max(by_block[0], by_campaign[0], by_block[0] + by_campaign[0] - by_pair[0])
    larger = max((by_block, by_campaign), key=lambda one: one[0])
    skewness = larger[1] / larger[0] ** 1.5 if larger[0] > 0 else 0.0
    return Measured(value, float(np.sqrt(variance)), skewness, int(block.max()) + 1)


def _moments(influence: NDArray[np.float64], group: NDArray[np.intp]) -> Sequence[float]:
    """Return the second and third moments of the sum, by the totals of groups; few groups are allowed for."""
    totals = np.bincount(group, weights=influence)
    used = np.bincount(group) > 0
    groups = int(used.sum())
    small = groups / max(groups - 1, 1)
    return float((totals**2).sum() * small), float((totals**3).sum() * small)
