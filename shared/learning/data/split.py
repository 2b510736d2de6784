"""Split examples in time: training, then calibration, then test.

Never at random: neighbours in time share campaigns and accounts, so a random split would overstate performance.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.errors import NothingToDo
from shared.learning.specs.data import SplitSpec

HOUR = 3_600_000_000
DAY = 24 * HOUR
WEEK = 7 * DAY


_STRAYS = 1000
"""Of as many rows the oldest one is not believed: one Pix of 2010 among thousands must not stretch their span."""


class Split(NamedTuple):
    """Slices of rows in order of time, at least the embargo apart; older rows than the training's are left out."""

    train: slice
    calibration: slice
    test: slice


class Lengths(NamedTuple):
    """Lengths of the periods in microseconds."""

    train: int
    calibration: int
    test: int
    embargo: int


def split_in_time(initiated_at: NDArray[np.int64], spec: SplitSpec) -> Split:
    """Return the periods of rows at ascending times [n], in microseconds. Raises NothingToDo.

    The test period ends with the newest row, and the others lie before it.

    >>> spec = SplitSpec(2, 1, 30, 0, embargo_hours_min=0, whole_days=60, span_days_min=1, frauds_min=2)
    >>> split_in_time(np.arange(100) * DAY, spec)
    Split(train=slice(48, 78, None), calibration=slice(78, 85, None), test=slice(85, 100, None))
    >>> split_in_time(np.arange(31) * DAY, spec)
    Split(train=slice(0, 20, None), calibration=slice(20, 23, None), test=slice(23, 31, None))
    """
    if len(initiated_at) == 0:
        raise NothingToDo("there are no labelled examples")
    span = span_of(initiated_at)
    if span < spec.span_days_min * DAY:
        raise NothingToDo(f"the examples span {span / DAY:.1f} days, fewer than {spec.span_days_min:g}")
    length = lengths(initiated_at, spec)
    test = int(initiated_at[-1]) - length.test
    calibrated = test - length.embargo
    calibration = calibrated - length.calibration
    trained = calibration - length.embargo
    ends = [trained - length.train, trained, calibration, calibrated, test]
    cuts = [*np.searchsorted(initiated_at, ends).tolist(), len(initiated_at)]
    split = Split(*(slice(start, stop) for start, stop in zip(cuts[::2], cuts[1::2], strict=True)))
    for name, period in zip(Split._fields, split, strict=True):
        if period.start >= period.stop:
            raise NothingToDo(f"no example is left for the {name} period")
    return split


def lengths(initiated_at: NDArray[np.int64], spec: SplitSpec) -> Lengths:
    """Return the lengths of the periods of rows at ascending times [n], in microseconds.

    They are those of the specification if the rows span `whole_days`, else all but the training's are shorter in
    proportion.

    >>> spec = SplitSpec(2, 1, 30, 1, embargo_hours_min=6, whole_days=60, span_days_min=1, frauds_min=2)
    >>> [length / DAY for length in lengths(np.array([0, 60 * DAY]), spec)]
    [30.0, 7.0, 14.0, 1.0]
    >>> [length / DAY for length in lengths(np.array([0, 6 * DAY]), spec)]
    [30.0, 0.7, 1.4, 0.25]
    """
    share = min(1.0, span_of(initiated_at) / (spec.whole_days * DAY))
    return Lengths(
        round(spec.training_days * DAY),
        round(share * spec.calibration_weeks * WEEK),
        round(share * spec.test_weeks * WEEK),
        max(round(share * spec.embargo_days * DAY), round(spec.embargo_hours_min * HOUR)),
    )


def span_of(initiated_at: NDArray[np.int64]) -> int:
    """Return the time from the first row to the last, without the oldest of each thousand, in microseconds.

    >>> span_of(np.array([-6000 * DAY, *range(1500)])) < DAY
    True
    """
    return int(initiated_at[-1] - initiated_at[len(initiated_at) // _STRAYS])


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
