"""Split examples in time: train on the past, calibrate on what followed, test on the last period.

Never at random: neighbours in time share campaigns and accounts, so a random split promises what no future keeps.
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
    """Slices of rows that are ordered by time; at least the embargo lies between one and the next."""

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
        raise NothingToDo("there is no labelled example")
    span = int(initiated_at[-1] - initiated_at[0])
    if span < spec.span_days_min * DAY:
        raise NothingToDo(f"the examples span {span / DAY:.1f} days, fewer than {spec.span_days_min:g}")
    embargo = embargo_of(initiated_at, spec)
    first = int(initiated_at[int(n * (1 - spec.calibration - spec.test) + 1e-9)])
    second = int(initiated_at[int(n * (1 - spec.test) + 1e-9)])
    cuts = np.searchsorted(initiated_at, [first, first + embargo, second, second + embargo]).tolist()
    split = Split(slice(0, cuts[0]), slice(cuts[1], cuts[2]), slice(cuts[3], n))
    for name, period in zip(Split._fields, split, strict=True):
        if period.start >= period.stop:
            raise NothingToDo(f"no example is left for the {name} period")
    return split


def embargo_of(initiated_at: NDArray[np.int64], spec: SplitSpec) -> int:
    """Return the time to leave out between periods of rows at ascending times [n], in microseconds."""
    span = int(initiated_at[-1] - initiated_at[0])
    return max(round(spec.embargo * span), round(spec.embargo_hours_min * HOUR))


class Fold(NamedTuple):
    """Slices of rows to train on and, after the embargo, to validate on."""

    train: slice
    validation: slice


def folds(initiated_at: NDArray[np.int64], count: int, embargo: int) -> list[Fold]:
    """Return forward-chaining folds of rows at ascending times [n], in microseconds.

    The rows are cut into `count` + 1 blocks of like size, never between rows of one time. Each block but the first is
    validated on, less the embargo at its start, after training on all that lies before it. Folds with nothing on
    either side are left out.
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
    found = []
    for cut, stop in itertools.pairwise(cuts):
        start = int(np.searchsorted(initiated_at, initiated_at[cut] + embargo))
        if cut > 0 and start < stop:
            found.append(Fold(slice(0, cut), slice(start, stop)))
    return found


def require_both_classes(fraud: NDArray[np.bool_], split: Split, frauds_min: int) -> None:
    """Raise NothingToDo unless every period holds `frauds_min` frauds and as many legitimate transactions."""
    for name, period in zip(Split._fields, split, strict=True):
        frauds = int(fraud[period].sum())
        legitimate = period.stop - period.start - frauds
        if min(frauds, legitimate) < frauds_min:
            raise NothingToDo(
                f"the {name} period holds {frauds} frauds and {legitimate} legitimate transactions; "
                f"{frauds_min} of each are needed"
            )
