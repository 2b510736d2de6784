"""The geometry of a comparison over its looks, which a template draws as SVG in the view box of `charts`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from shared.desk.charts import BOTTOM, HEIGHT, LEFT, WIDTH, Dot, Tick
from shared.desk.contest import ContestView
from shared.desk.health import Point
from shared.desk.series_plot import path_of

_INNER, _TALL, _TOP = WIDTH - LEFT - 12, HEIGHT - BOTTOM - 8, 8
_STRETCH = 4.0
"""Times the largest value to which limits are drawn: those of the first looks are as wide as to hide all others."""


class ContestPlot(Struct, frozen=True):
    """A line with the band of its limits, the foretold line, and the height of zero; `most` is at the top.

    All are paths, empty without points; a single point is a dot. The scale is alike on both sides of zero.
    """

    line: str
    band: str
    foretold: str
    dots: tuple[Dot, ...]
    zero: float
    days: tuple[Tick, ...]
    most: float


def contest_plot(view: ContestView) -> ContestPlot:
    """Return the plot of a comparison with at least one point."""
    shown = (*view.points, *view.foretold)
    first, last = min(point.day for point in shown), max(point.day for point in shown)
    most = _most(shown)

    def place(day: dt.date, value: float) -> tuple[float, float]:
        along = (day - first).days / max((last - first).days, 1)
        above = min(max(value / most, -1.0), 1.0)
        return round(LEFT + 4 + along * _INNER, 1), round(_TOP + (1 - above) / 2 * _TALL, 1)

    upper = [place(point.day, point.high) for point in view.points if point.high is not None]
    lower = [place(point.day, point.low) for point in view.points if point.low is not None]
    band = f"{path_of([*upper, *reversed(lower)])}Z" if len(upper) > 1 and lower else ""
    lines = [[place(point.day, point.value) for point in points] for points in (view.points, view.foretold)]
    kinds = zip(lines, ("this", "stopped"), strict=True)
    dots = tuple(Dot(*line[0], kind) for line, kind in kinds if len(line) == 1)
    ticks = {first: Tick(place(first, 0)[0], first), last: Tick(place(last, 0)[0], last)}
    own, foretold = (path_of(line) if len(line) > 1 else "" for line in lines)
    return ContestPlot(own, band, foretold, dots, place(first, 0)[1], tuple(ticks.values()), most)


def _most(points: Sequence[Point]) -> float:
    """Return the value at the top: that of the widest limits, if they do not dwarf the values."""
    values = max(abs(point.value) for point in points)
    ends = max(abs(end) for point in points for end in (point.low, point.high, 0.0) if end is not None)
    return min(max(values, ends), _STRETCH * values if values else ends) or 1.0
