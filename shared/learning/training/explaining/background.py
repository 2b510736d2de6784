"""The background of explanations: a few vectors of the training period that stand for all of its Pix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.learning.data.dataset import Dataset

ROWS = 100
"""Vectors of a background."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def background(data: Dataset, period: slice, columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return ROWS vectors of a period, float32 [ROWS, columns] by rows, or all if it has fewer.

    Each row has a lot, a hash of its time, and is drawn by it as often as its weight says: the same rows are drawn
    whenever a training is repeated, and of a sample rather those that stand for many.
    Source: Efraimidis and Spirakis, Weighted Random Sampling with a Reservoir, Information Processing Letters, 2006.
    """
    pix = data.pix[period]
    turn = np.arange(len(pix)) - np.searchsorted(pix, pix)  # both sides of a Pix have one time
    waits = -np.log(lots(data.initiated_at[period] + turn)) / data.weight[period]
    rows = np.sort(np.argsort(waits, kind="stable")[:ROWS]) + period.start
    return np.ascontiguousarray(data.take(rows, columns))


def lots(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a hash of each number, in (0, 1).

    Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (SplitMix64).

    >>> lots(np.array([1, 2, 1])).round(3).tolist()
    [0.567, 0.591, 0.567]
    """
    mixed = numbers.astype(np.uint64) + _GOLDEN
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53 + 2.0**-54
