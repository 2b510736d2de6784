"""Bootstrap intervals of weighted figures, resampled in blocks of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.data.split import DAY

BLOCKS_MIN = 30
"""Fewest blocks to aim for: intervals of fewer clusters are too narrow (see `time_blocks`)."""


class Interval(Struct, frozen=True):
    """The lower and upper end of a central interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A figure and its interval; NaN if it is undefined."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Resampling:
    """The block and weight of each row, and the number of times that each resample draws each block.

    `block` is [n], `weight` [n]. `draws` is float64 [1 + resamples, blocks]; its first row draws every block once, so
    one computation over `draws` gives the figure itself first and its resamples after it.

    Rows are not drawn one by one: a campaign lasts hours to days, so the frauds of a day are alike, and intervals
    that assume independence are too narrow. Between days of the simulated world the number of frauds varies four
    times as much as under independence, the saving one and a half times. Drawing blocks keeps that dependence.
    Both sides of a Pix have one time (see `Dataset`), so they are drawn together.
    Figures are ratios of sums over blocks, so all resamples are one matrix product, regardless of the number of rows.
    Source: Künsch, The Jackknife and the Bootstrap for General Stationary Observations, Annals of Statistics, 1989.
    """

    block: NDArray[np.intp]
    weight: NDArray[np.float64]
    draws: NDArray[np.float64]

    @classmethod
    def of(
        cls, initiated_at: NDArray[np.int64], weight: NDArray[np.float64], resamples: int, seed: int
    ) -> Resampling:
        """Return resamples of rows with times `initiated_at` [n] in microseconds, in any order."""
        block = time_blocks(initiated_at)
        count = int(block.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
        return cls(block, weight, np.vstack([np.ones(count), drawn]))

    def per_block(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the weighted sum of `values` [n] in each block, float64 [blocks]."""
        blocks = self.draws.shape[1]
        weighted = self.weight * values.astype(np.float64)
        return np.bincount(self.block, weights=weighted, minlength=blocks).astype(np.float64)

    def sums(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the weighted sum of `values` [n], then that in each resample, float64 [1 + resamples]."""
        return np.asarray(self.draws @ self.per_block(values))


def time_blocks(initiated_at: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the block of each row [n], numbered from 0: days, or shorter spans if days are fewer than BLOCKS_MIN.

    Spans without rows are not numbered. Intervals of fewer than about thirty clusters are too narrow.
    Source: Cameron, Gelbach and Miller, Bootstrap-Based Improvements for Inference with Clustered Errors, 2008.

    >>> time_blocks(np.array([0, DAY // 2, 40 * DAY])).tolist()
    [0, 0, 1]
    >>> time_blocks(np.array([0, DAY // 2, DAY])).tolist()
    [0, 1, 2]
    """
    start, span = int(initiated_at.min()), int(np.ptp(initiated_at))
    length = min(DAY, max(span // BLOCKS_MIN, 1))
    return np.unique((initiated_at - start) // length, return_inverse=True)[1].astype(np.intp)


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quotients, NaN where the divisor is zero.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    out = np.full(np.broadcast(above, below).shape, np.nan)
    return np.asarray(np.divide(above, below, out=out, where=below != 0))


def estimate(samples: NDArray[np.float64], confidence: float) -> Estimate:
    """Return the first of `samples` with the central interval of the others at `confidence`.

    This is the percentile interval; undefined resamples (NaN) are left out.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, Chapman and Hall, 1993, chapter 13.

    >>> estimate(np.array([5.0, 1.0, 2.0, 3.0]), 0.5)
    Estimate(value=5.0, interval=Interval(low=1.5, high=2.5))
    """
    drawn = samples[1:][~np.isnan(samples[1:])]
    if not len(drawn):
        return Estimate(float(samples[0]), Interval(np.nan, np.nan))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(samples[0]), Interval(float(low), float(high)))
