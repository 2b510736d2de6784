"""Rows of a training set that cannot be used: left out and counted with their dates, fatal only where they are many.

A row is stored for years, and one that is bad must not stop every training for as long. Many of them are a fault of
the pipeline, which no training should hide.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec
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


class DefectCount(Struct, frozen=True):
    """The rows of a training set, or of a part of it, that cannot be used for one reason; see `Defect`.

    `says` names their fault. `ranges` are the least and largest of the values that are out of range, by
    feature, None for other defects.
    """

    name: str
    rows: int
    frauds: int
    first_at: int | None
    last_at: int | None
    says: str
    ranges: dict[str, tuple[float, float]] | None = None

    def told(self) -> Defect:
        """Return the defect with a sentence on it."""
        text = f"{self.rows} rows {self.says}"
        if self.ranges is not None:
            text += ": " + some([_range(name, *self.ranges[name]) for name in sorted(self.ranges)])
        if self.first_at is not None and self.last_at is not None:
            text += f" (initiated {_date(self.first_at)} to {_date(self.last_at)})"
        return Defect(self.name, self.rows, self.frauds, self.first_at, self.last_at, text)


def count_defect(
    name: str,
    bad: NDArray[np.bool_],
    fraud: NDArray[np.bool_],
    initiated_at: NDArray[np.int64],
    says: str,
    ranges: dict[str, tuple[float, float]] | None = None,
) -> DefectCount:
    """Return the count of the rows that are `bad` [n].

    A time below zero is none, as no Pix is older than 1970.
    """
    at = initiated_at[bad]
    at = at[at >= 0]
    first, last = (int(at.min()), int(at.max())) if len(at) else (None, None)
    return DefectCount(name, int(np.count_nonzero(bad)), int(fraud[bad].sum()), first, last, says, ranges)


def added(parts: Sequence[DefectCount]) -> DefectCount:
    """Return the count of one defect in all parts of a training set."""
    ranges: dict[str, tuple[float, float]] = {}
    for name, (low, high) in ((name, each) for part in parts for name, each in (part.ranges or {}).items()):
        known = ranges.get(name, (low, high))
        ranges[name] = min(known[0], low), max(known[1], high)
    return msgspec.structs.replace(
        parts[0],
        rows=sum(each.rows for each in parts),
        frauds=sum(each.frauds for each in parts),
        first_at=min((each.first_at for each in parts if each.first_at is not None), default=None),
        last_at=max((each.last_at for each in parts if each.last_at is not None), default=None),
        ranges=None if parts[0].ranges is None else ranges,
    )


def outside(matrix: FeatureMatrix, names: Sequence[str]) -> tuple[NDArray[np.bool_], dict[str, tuple[float, float]]]:
    """Return the rows [n] with a feature that is infinite or leaves the range of its unit.

    Return also the least and the largest of such values, by feature.
    """
    bad = np.zeros(len(matrix.values), dtype=bool)
    found = {}
    for j, (name, summary) in enumerate(zip(names, matrix.summaries, strict=True)):
        low, high = RANGES.get(_UNITS.get(name, ""), (-np.inf, np.inf))
        if _within(summary, low, high):
            continue
        column = matrix.values[:, j]
        own = np.isinf(column) | (column < low - _SLACK) | (column > high + _SLACK)
        bad |= own
        found[name] = float(column[own].min()), float(column[own].max())
    return bad, found


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


def _range(name: str, low: float, high: float) -> str:
    return f"{name} ({_UNITS.get(name, '')}) {low:g} to {high:g}"


def _date(at: int) -> str:
    return f"{dt.datetime.fromtimestamp(at / 1e6, dt.UTC):%Y-%m-%d}"
