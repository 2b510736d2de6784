"""The geometry of a measure over days, which a template draws as SVG in the view box of `charts`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from shared.desk.charts import BOTTOM, HEIGHT, LEFT, WIDTH, Dot, Tick
from shared.desk.health import MeasureSeries

_INNER, _TALL, _TOP = WIDTH - LEFT - 12, HEIGHT - BOTTOM - 8, 8


class SeriesPlot(Struct, frozen=True):
    """A line, the band of its intervals, and dots for values by labels; `most` is the value at the top.

    `line` and `band` are paths; `line` is empty for a single day, which is a dot.
    """

    line: str
    band: str
    dots: tuple[Dot, ...]
    days: tuple[Tick, ...]
    most: float


def plot(series: MeasureSeries) -> SeriesPlot:
    """Return the plot of a series with at least one point."""
    shown = (*series.points, *series.labelled)
    first, last = min(point.day for point in shown), max(point.day for point in shown)
    most = max(max(point.value, point.high or 0.0) for point in shown) or 1.0

    def place(day: dt.date, value: float) -> tuple[float, float]:
        along = (day - first).days / max((last - first).days, 1)
        return round(LEFT + 4 + along * _INNER, 1), round(_TOP + (1 - value / most) * _TALL, 1)

    lone = len(series.points) == 1
    dots = [Dot(*place(point.day, point.value), "this") for point in (series.points if lone else ())]
    dots += [Dot(*place(point.day, point.value), "stopped") for point in series.labelled]
    ticks = {first: Tick(place(first, 0)[0], first), last: Tick(place(last, 0)[0], last)}
    line = "" if lone else path_of([place(point.day, point.value) for point in series.points])
    upper = [place(point.day, point.high) for point in series.points if point.high is not None]
    lower = [place(point.day, point.low) for point in series.points if point.low is not None]
    band = f"{path_of([*upper, *reversed(lower)])}Z" if len(upper) > 1 else ""
    return SeriesPlot(line, band, tuple(dots), tuple(ticks.values()), most)


def path_of(places: Sequence[tuple[float, float]]) -> str:
    """Return the path through places.

    >>> path_of([(1.0, 2.0), (3.0, 4.0)])
    'M1.0 2.0L3.0 4.0'
    """
    return "".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(places))
