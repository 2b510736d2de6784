"""Periods and folds in order of time, with an embargo between."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.learning.data.split import DAY, HOUR, Split, folds, lengths, require_both_classes, split_in_time
from shared.learning.errors import NothingToDo
from shared.learning.specs.data import SplitSpec

specs = st.builds(
    SplitSpec,
    test_weeks=st.floats(0.5, 6),
    calibration_weeks=st.floats(0.5, 6),
    training_days=st.floats(2, 500),
    embargo_days=st.floats(0, 10),
    embargo_hours_min=st.floats(0, 24),
    whole_days=st.floats(110, 400),
    span_days_min=st.just(2.0),
    frauds_min=st.just(2),
)
times = st.lists(st.integers(0, 400 * DAY), min_size=1, max_size=300).map(lambda t: np.sort(np.array(t, np.int64)))


@given(times, st.integers(-(10**15), 10**15), specs)
def test_periods_are_in_order_with_an_embargo_between(at: NDArray[np.int64], shift: int, spec: SplitSpec) -> None:
    try:
        split = split_in_time(at + shift, spec)
    except NothingToDo:
        return
    length = lengths(at, spec)
    assert length.embargo >= spec.embargo_hours_min * HOUR - 1
    for earlier, later in itertools.pairwise(split):
        assert earlier.stop <= later.start
        assert at[later.start] - at[earlier.stop - 1] >= length.embargo
    assert split.test.stop == len(at)
    for period, longest in zip(split, length, strict=False):
        assert period.start < period.stop
        assert at[period.stop - 1] - at[period.start] <= longest


@given(times, st.integers(-(10**15), 10**15), specs)
def test_a_split_does_not_depend_on_absolute_dates(at: NDArray[np.int64], shift: int, spec: SplitSpec) -> None:
    def split(values: NDArray[np.int64]) -> Split | str:
        try:
            return split_in_time(values, spec)
        except NothingToDo as reason:
            return str(reason)

    assert split(at) == split(at + shift)


@example(np.array([0, 1, 1]), 2, 0)
@given(times, st.integers(1, 6), st.integers(0, 30 * DAY))
def test_folds_validate_only_on_rows_after_training_and_embargo(
    at: NDArray[np.int64], count: int, embargo: int
) -> None:
    found = folds(at, count, embargo)
    assert len(found) <= count
    for fold in found:
        assert fold.train.start == 0
        assert at[fold.validation.start] - at[fold.train.stop - 1] > embargo
        assert fold.train.stop <= fold.validation.start < fold.validation.stop <= len(at)
    for earlier, later in itertools.pairwise(found):
        assert earlier.train.stop <= later.train.stop
        assert earlier.validation.stop <= later.validation.start


def test_folds_of_evenly_spread_rows_are_equal_blocks_less_the_embargo() -> None:
    found = folds(np.arange(400) * HOUR, 3, embargo=5 * HOUR)
    assert [(f.train.stop, f.validation.start, f.validation.stop) for f in found] == [
        (100, 105, 200),
        (200, 205, 300),
        (300, 305, 400),
    ]


SPEC = SplitSpec(5, 4, 730, 3.5, 6, whole_days=180, span_days_min=3, frauds_min=3)


def days(at: NDArray[np.int64], split: Split) -> list[float]:
    """Return the lengths of the periods in days, then the age of the newest training row."""
    ages = [(at[period.stop - 1] - at[period.start]) / DAY for period in split]
    return [*ages, (at[-1] - at[split.train.stop - 1]) / DAY]


@pytest.mark.parametrize("years", [0.5, 1, 2, 5])
def test_the_newest_training_row_is_ten_weeks_old_however_long_the_history(years: float) -> None:
    at = np.arange(round(years * 365 * 24)) * HOUR
    train, *others, age = days(at, split_in_time(at, SPEC))
    assert train == pytest.approx(min(years * 365 - 70, 730), abs=0.2)
    assert [*others, age] == pytest.approx([28, 35, 70], abs=0.2)


def test_few_days_are_shared_in_proportion() -> None:
    at = np.arange(93 * 24) * HOUR
    assert days(at, split_in_time(at, SPEC)) == pytest.approx([56.8, 14.5, 18.1, 36.2], abs=0.2)


def test_a_stray_pix_of_2010_changes_no_period() -> None:
    at = np.arange(93 * 24) * HOUR + 16 * 365 * DAY
    moved = split_in_time(np.concatenate([[0], at]), SPEC)
    assert days(at, Split(*(slice(part.start - 1, part.stop - 1) for part in moved))) == pytest.approx(
        days(at, split_in_time(at, SPEC)), abs=0.1
    )


@pytest.mark.parametrize("at", [np.empty(0, np.int64), np.arange(1000) * HOUR // 20])
def test_no_rows_or_too_short_a_span_is_nothing_to_do(at: NDArray[np.int64]) -> None:
    with pytest.raises(NothingToDo):
        split_in_time(at, SPEC)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.0005])
def test_too_few_of_either_class_in_a_period_is_nothing_to_do(share: float) -> None:
    at = np.arange(1000) * HOUR
    fraud = np.random.default_rng(0).random(1000) < share
    with pytest.raises(NothingToDo, match="period holds"):
        require_both_classes(fraud, split_in_time(at, SPEC), SPEC.frauds_min)
