"""Split examples in time: training, then calibration, then test.

Never at random: neighbours in time share campaigns and accounts, so a random split would overstate performance.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import SplitSpec
from shared.learning.errors import NothingToDo

HOUR = 3_600_000_000
DAY = 24 * HOUR


class Split(NamedTuple):
    """Slices of rows in order of time, at least the embargo apart."""

    train: slice
    calibration: slice
    test: slice


def split_in_time(initiated_at: NDArray[np.int64], spec: SplitSpec) -> Split:
    """Return the periods of rows at ascending times [n], in microseconds. Raises NothingToDo.

    >>> spec = SplitSpec(0.2, 0.2, embargo=0, embargo_hours_min=0, span_days_min=1, frauds_min=2)
    >>> split_in_time(np.arange(10) * DAY, spec)
    Split(train=slice(0, 6, None), calibration=slice(6, 8, None), test=slice(8, 10, None))
    """
    n = len(initiated_at)
    if n == 0:
        raise NothingToDo("there are no labelled examples")
    span = int(initiated_at[-1] - initiated_at[0])
    if span < spec.span_days_min * DAY:
        raise NothingToDo(f"the examples span {span / DAY:.1f} days, fewer than {spec.span_days_min:g}")
    embargo = embargo_of(initiated_at, spec)
    # 1e-9, as 1 - 0.9 is just below 0.1 in floating point, which would cut one row too early.
    first = int(initiated_at[int(n * (1 - spec.calibration - spec.test) + 1e-9)])
    second = int(initiated_at[int(n * (1 - spec.test) + 1e-9)])
    cuts = np.searchsorted(initiated_at, [first, first + embargo, second, second + embargo]).tolist()
    split = Split(slice(0, cuts[0]), slice(cuts[1], cuts[2]), slice(cuts[3], n))
    for name, period in zip(Split._fields, split, strict=True):
        if period.start >= period.stop:
            raise NothingToDo(f"no example is left for the {name} period")
    return split


def embargo_of(initiated_at: NDArray[np.int64], spec: SplitSpec) -> int:
    """Return the embargo between periods of rows at ascending times [n], all in microseconds."""
    span = int(initiated_at[-1] - initiated_at[0])
    return max(round(spec.embargo * span), round(spec.embargo_hours_min * HOUR))


class Fold(NamedTuple):
    """Slices of rows for training and, after the embargo, for validation."""

    train: slice
    validation: slice


def folds(initiated_at: NDArray[np.int64], count: int, embargo: int) -> list[Fold]:
    """Return forward-chaining folds of rows at ascending times [n], in microseconds.

    The rows are cut into `count` + 1 blocks of about equal size, never between rows of the same time. Each block but
    the first is a validation set, less the embargo at its start; all rows before it are its training set. Folds with
    an empty side are left out.
    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2021, 5.10 (rolling origin).

    >>> folds(np.arange(9) * DAY, 2, embargo=DAY)
    [Fold(train=slice(0, 3, None), validation=slice(4, 6, None)),
     Fold(train=slice(0, 6, None), validation=slice(7, 9, None))]
    """
    n = len(initiated_at)
    if n == 0:
        return []
    firsts = initiated_at[[n * k // (count + 1) for k in range(1, count + 1)]]
    cuts = [*np.unique(np.searchsorted(initiated_at, firsts)).tolist(), n]
    chain = []
    for cut, stop in itertools.pairwise(cuts):
        start = int(np.searchsorted(initiated_at, initiated_at[cut] + embargo))
        if cut > 0 and start < stop:
            chain.append(Fold(slice(0, cut), slice(start, stop)))
    return chain


def require_both_classes(fraud: NDArray[np.bool_], split: Split, frauds_min: int) -> None:
    """Raise NothingToDo unless every period holds at least `frauds_min` frauds and as many legitimate Pix."""
    for name, period in zip(Split._fields, split, strict=True):
        frauds = int(fraud[period].sum())
        legitimate = period.stop - period.start - frauds
        if min(frauds, legitimate) < frauds_min:
            raise NothingToDo(
                f"the {name} period holds {frauds} frauds and {legitimate} legitimate Pix; "
                f"{frauds_min} of each are needed"
            )
