"""Rows of a training set that cannot be used: left out and counted with their dates, fatal only where they are many.

A row is stored for years, and one that is bad must not stop every training for as long. Many of them are a fault of
the pipeline, which no training should hide.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.catalogue import FEATURES
from shared.learning.data.matrix import ColumnSummary, FeatureMatrix

RANGES: Mapping[str, tuple[float, float]] = {
    "flag": (0.0, 1.0),
    "day": (0.0, 6.0),
    "-1..1": (-1.0, 1.0),
    "count": (0.0, np.inf),
    "ratio": (0.0, np.inf),
    "steps": (0.0, np.inf),
    "ln BRL": (0.0, np.inf),
}
"""Least and largest value by unit of a feature; other units are unbounded. No unit has infinite values."""
_SLACK = 0.01  # tolerance of ranges: rows of before may hold a counter that rounding left below zero
_LISTED = 10  # names in a text
_UNITS = {feature.name: feature.unit for feature in FEATURES}


class Defect(Struct, frozen=True):
    """Rows that were left out for one reason, `frauds` of them confirmed, and a sentence on them.

    `first_at` and `last_at` are the times of the first and last Pix in microseconds, None if none has a time.
    """

    name: str
    rows: int
    frauds: int
    first_at: int | None
    last_at: int | None
    text: str


def defect(
    name: str, bad: NDArray[np.bool_], fraud: NDArray[np.bool_], initiated_at: NDArray[np.int64], text: str
) -> Defect:
    """Return the defect of the rows that are `bad` [n]; `text` names their fault.

    A time below zero is none, as no Pix is older than 1970.
    """
    rows = int(np.count_nonzero(bad))
    at = initiated_at[bad]
    at = at[at >= 0]
    if not len(at):
        return Defect(name, rows, int(fraud[bad].sum()), None, None, f"{rows} rows {text}")
    first, last = int(at.min()), int(at.max())
    dates = f"initiated {_date(first)} to {_date(last)}"
    return Defect(name, rows, int(fraud[bad].sum()), first, last, f"{rows} rows {text} ({dates})")


def outside(matrix: FeatureMatrix, names: Sequence[str]) -> tuple[NDArray[np.bool_], str]:
    """Return the rows [n] with a feature that is infinite or leaves the range of its unit, and a sentence on them."""
    bad = np.zeros(len(matrix.values), dtype=bool)
    found = []
    for j, (name, summary) in enumerate(zip(names, matrix.summaries, strict=True)):
        low, high = RANGES.get(_UNITS.get(name, ""), (-np.inf, np.inf))
        if _within(summary, low, high):
            continue
        column = matrix.values[:, j]
        bad |= np.isinf(column) | (column < low - _SLACK) | (column > high + _SLACK)
        found.append(f"{name} ({_UNITS.get(name, '')}) {summary.low:g} to {summary.high:g}")
    return bad, f"have an infinite feature or one out of its range: {some(found)}"


def some(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others.

    >>> some([]), some(["a", "b"])
    ('none', 'a, b')
    """
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + more


def _within(summary: ColumnSummary, low: float, high: float) -> bool:
    """Return whether all values are finite and in range; a column without values is."""
    if np.isinf([summary.low, summary.high]).any():
        return False
    return not (summary.low < low - _SLACK or summary.high > high + _SLACK)


def _date(at: int) -> str:
    return f"{dt.datetime.fromtimestamp(at / 1e6, dt.UTC):%Y-%m-%d}"
