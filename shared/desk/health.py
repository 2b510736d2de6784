"""How the system does, as the pages show it: series of the measures in `pix.health`, by side."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from shared.contract.rows import HealthRow
from shared.desk.records import moment
from shared.features.columns import SIDES

Unit = Literal["count", "share", "brl", "ms", "index"]
PANELS: Mapping[str, Unit] = {
    "decided": "count",
    "stopped": "share",
    "held_to_budget": "share",
    "rejects_to_ceiling": "share",
    "degraded": "share",
    "decide_ms_p99": "ms",
    "expected_missed": "count",
    "expected_missed_brl": "brl",
    "expected_precision": "share",
    "expected_recall": "share",
}
"""The measures with a plot of their own, and their units."""
LABELLED = {"expected_missed": "missed_projected", "expected_precision": "confirmed_precision"}
"""Measures foretold by scores, and those by which labels answer."""
MEASURES = (*PANELS, *LABELLED.values())
"""The measures that the page of health reads."""
_SUMMED = frozenset(name for name, unit in PANELS.items() if unit in ("count", "brl")) | {"missed_projected"}


class Point(Struct, frozen=True):
    """A value of a day, with the ends of its interval if it is an estimate."""

    day: dt.date
    value: float
    low: float | None = None
    high: float | None = None


class MeasureSeries(Struct, frozen=True):
    """A measure over days, in order of time; `labelled` is the same by labels that came since."""

    measure: str
    unit: Unit
    points: tuple[Point, ...]
    labelled: tuple[Point, ...] = ()

    @property
    def latest(self) -> Point | None:
        """The point of the last day."""
        return self.points[-1] if self.points else None


class SideHealth(Struct, frozen=True):
    """The series of one side."""

    side: str
    series: tuple[MeasureSeries, ...]


def health(rows: Sequence[HealthRow]) -> list[SideHealth]:
    """Return the series of each side that has any."""
    found = []
    for side in SIDES:
        own = [row for row in rows if row.side == side and row.segment is None]
        series = [_series(name, unit, own) for name, unit in PANELS.items()]
        if any(each.points for each in series):
            found.append(SideHealth(side, tuple(each for each in series if each.points)))
    return found


def _series(measure: str, unit: Unit, rows: Sequence[HealthRow]) -> MeasureSeries:
    answer = LABELLED.get(measure)
    return MeasureSeries(measure, unit, points(measure, rows), points(answer, rows) if answer else ())


def points(measure: str, rows: Sequence[HealthRow]) -> tuple[Point, ...]:
    """Return a point for each day: of all models together, and of labels as they are known last."""
    by_day: dict[int, list[HealthRow]] = {}
    for row in rows:
        if row.measure == measure and row.value is not None:
            by_day.setdefault(row.day, []).append(row)
    points = []
    for day, found in sorted(by_day.items()):
        oldest = max(row.age_days or 0 for row in found)
        points.append(_point(day, [row for row in found if (row.age_days or 0) == oldest], measure in _SUMMED))
    return tuple(points)


def _point(day: int, rows: Sequence[HealthRow], is_sum: bool) -> Point:
    """Return the sum over models, or the value of the one that decided most; their errors are independent."""
    date = moment(day).date()
    most = max(rows, key=lambda row: row.row_count)
    if len(rows) == 1 or not is_sum:
        return Point(date, most.value or 0.0, most.low, most.high)
    value = sum(row.value or 0.0 for row in rows)
    ends = [(row.value or 0.0, row.low, row.high) for row in rows]
    if any(low is None or high is None for _, low, high in ends):
        return Point(date, value)
    below = math.hypot(*(middle - (low or 0.0) for middle, low, _ in ends))
    above = math.hypot(*((high or 0.0) - middle for middle, _, high in ends))
    return Point(date, value, max(0.0, value - below), value + above)
