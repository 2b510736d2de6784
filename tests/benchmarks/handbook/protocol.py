"""The published protocol: periods, tested rows, and the three figures.

Source: Le Borgne, Siblini, Lebichot, Bontempi, Reproducible Machine Learning for Credit Card Fraud Detection:
Practical Handbook, 2022, chapters 3 to 5. Labels of a day are known seven days later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Rows = NDArray[np.int64]

FIRST_DAY = date(2018, 4, 1)
WEEK = 7
DELAY = 7
"""Days until the labels of a day are known."""
TOP = 100
"""Cards that can be investigated each day."""

SINGLE = date(2018, 7, 25)
TEST_FOLDS = (date(2018, 7, 25), date(2018, 8, 1), date(2018, 8, 8), date(2018, 8, 15))
LAST_VALIDATION = date(2018, 7, 11)
"""The test week of this fold ends where the training week of the first test fold ends."""

TOTAL = (1_754_155, 14_681)
SINGLE_TRAIN, SINGLE_TEST = (67_240, 598), (58_264, 385)
"""Rows and frauds as published."""


class NotTheStream(ValueError):
    """The rows are not those of the published stream."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Transactions in time order: day since FIRST_DAY, customer, label, each [n]."""

    day: NDArray[np.int32]
    customer: NDArray[np.int32]
    fraud: NDArray[np.bool_]


class Fold(NamedTuple):
    """Training and test rows [m], ascending; `start` is the first day of the book's training week."""

    start: int
    train: Rows
    test: Rows


class Figures(NamedTuple):
    """Area under the ROC curve, average precision, and Card Precision@100."""

    auc: float
    ap: float
    cp100: float


def validation_starts(count: int) -> tuple[date, ...]:
    """Return the training starts of validation folds, one week apart, latest first.

    >>> [f"{start:%m-%d}" for start in validation_starts(2)]
    ['07-11', '07-04']
    """
    return tuple(date.fromordinal(LAST_VALIDATION.toordinal() - WEEK * i) for i in range(count))


def fold(stream: Stream, start: date, since: int | None = None) -> Fold:
    """Return the fold with the training week from `start`; `since` extends training back to that day."""
    first = (start - FIRST_DAY).days
    train = _rows(stream.day, first if since is None else since, first + WEEK)
    return Fold(first, train, _test_rows(stream, first))


def _test_rows(stream: Stream, first: int) -> Rows:
    """Return the rows of the test week without customers known to be defrauded.

    Known frauds are those of the training week and, on test day i, those of the days up to DELAY before it.
    """
    days = []
    for i in range(WEEK):
        known = _defrauded(stream, first, first + WEEK + i)
        rows = _rows(stream.day, first + WEEK + DELAY + i, first + WEEK + DELAY + i + 1)
        days.append(rows[~np.isin(stream.customer[rows], known)])
    return np.concatenate(days)


def _defrauded(stream: Stream, first: int, end: int) -> NDArray[np.int32]:
    rows = _rows(stream.day, first, end)
    return np.unique(stream.customer[rows[stream.fraud[rows]]])


def _rows(day: NDArray[np.int32], first: int, end: int) -> Rows:
    """Return the rows of the days from `first` to `end`, exclusive."""
    return np.arange(*np.searchsorted(day, [first, end]), dtype=np.int64)


def figures(stream: Stream, rows: Rows, scores: NDArray[np.float64]) -> Figures:
    """Compute the three figures for `scores` [m] of `rows` [m]."""
    fraud = stream.fraud[rows]
    return Figures(
        float(roc_auc_score(fraud, scores)),
        float(average_precision_score(fraud, scores)),
        card_precision(stream.day[rows], stream.customer[rows], fraud, scores),
    )


def card_precision(
    day: NDArray[np.int32],
    customer: NDArray[np.int32],
    fraud: NDArray[np.bool_],
    scores: NDArray[np.float64],
    top: int = TOP,
) -> float:
    """Return the mean over days of the share of defrauded customers among the `top` highest-scored ones.

    A customer found on one day is excluded on later days.
    """
    found = np.empty(0, dtype=customer.dtype)
    shares = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(customer, found))
        suspects = _most_suspect(customer[rows], scores[rows], top)
        caught = np.intersect1d(suspects, customer[rows[fraud[rows]]])
        shares.append(len(caught) / top)
        found = np.union1d(found, caught)
    return float(np.mean(shares))


def _most_suspect(customer: NDArray[np.int32], scores: NDArray[np.float64], top: int) -> NDArray[np.int32]:
    """Return the customers with the `top` highest scores; ties go to the lower number."""
    cards, place = np.unique(customer, return_inverse=True)
    highest = np.full(len(cards), -np.inf)
    np.maximum.at(highest, place, scores)
    return cards[np.argsort(-highest, kind="stable")[:top]]


def require_published(stream: Stream) -> None:
    """Raise NotTheStream unless rows and frauds are as published."""
    single = fold(stream, SINGLE)
    for name, rows, published in (
        ("the stream", np.arange(len(stream.day)), TOTAL),
        ("the training week of the single split", single.train, SINGLE_TRAIN),
        ("the test week of the single split", single.test, SINGLE_TEST),
    ):
        found = (len(rows), int(stream.fraud[rows].sum()))
        if found != published:
            raise NotTheStream(
                f"{name} has {found[0]:,} rows and {found[1]:,} frauds, not {published[0]:,} and {published[1]:,}"
            )


def mean(parts: list[Figures]) -> Figures:
    """Return the mean over folds.

    >>> mean([Figures(0.5, 0.25, 0.0), Figures(1.0, 0.75, 0.5)])
    Figures(auc=0.75, ap=0.5, cp100=0.25)
    """
    return Figures(*(sum(values) / len(parts) for values in zip(*parts, strict=True)))
