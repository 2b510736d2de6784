"""The geometry of the desk's plots, which its templates draw as SVG; lengths are in units of the view box."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from shared.desk.records import Payment

WIDTH, HEIGHT, LEFT, BOTTOM = 420, 140, 58, 20
"""The view box of a plot, and the room for the labels of its axes."""
LOCAL = dt.timezone(dt.timedelta(hours=-3))
"""Brasília; the country has no summer time since 2019."""
_INNER = WIDTH - LEFT - 8
_TALL = HEIGHT - BOTTOM - 8
DAY = dt.timedelta(days=1)


class Dot(Struct, frozen=True):
    """A Pix in a plot: `kind` is before, stopped or this."""

    x: float
    y: float
    kind: str


class Bar(Struct, frozen=True):
    """A bar of a plot with its count."""

    x: float
    y: float
    width: float
    height: float
    count: int
    marked: bool = False


class Tick(Struct, frozen=True):
    """A label of an axis at a place along it; a day, which each language writes its own way, is none yet."""

    at: float
    text: str | dt.date


class AmountPlot(Struct, frozen=True):
    """The amounts of an account over some days, on a logarithmic scale, and their median in centavos."""

    dots: tuple[Dot, ...]
    amounts: tuple[Tick, ...]
    count: int
    median: int | None
    largest: int | None


class BarPlot(Struct, frozen=True):
    """Counts by hour or day; `total` is their sum in centavos."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    count: int
    total: int
    most: int


def amounts(before: Sequence[Payment], at: dt.datetime, amount: int, days: int) -> AmountPlot:
    """Return the plot of the payments of some days before a Pix, and of the Pix itself."""
    values = [max(each.amount, 1) for each in before]
    low, high = _decades([*values, max(amount, 1)])

    def place(when: dt.datetime, centavos: int) -> tuple[float, float]:
        since = 1 - min(1.0, max(0.0, (at - when) / (days * DAY)))
        height = (math.log10(max(centavos, 1)) - low) / (high - low)
        return round(LEFT + since * _INNER, 1), round(8 + (1 - height) * _TALL, 1)

    dots = [Dot(*place(each.initiated_at, each.amount), _kind(each)) for each in before]
    ticks = tuple(Tick(place(at, 10**power)[1], str(10**power)) for power in range(low, high + 1, _step(low, high)))
    middle = round(median(values)) if values else None
    return AmountPlot((*dots, Dot(*place(at, amount), "this")), ticks, len(before), middle, max(values, default=None))


def hours(before: Sequence[Payment], at: dt.datetime) -> BarPlot:
    """Return the counts of payments by local hour; that of a Pix is marked."""
    counts = Counter(each.initiated_at.astimezone(LOCAL).hour for each in before)
    marked = at.astimezone(LOCAL).hour
    ticks = tuple(Tick(_across(hour, 24), f"{hour}h") for hour in range(0, 24, 6))
    return _bars([counts[hour] for hour in range(24)], marked, ticks, before)


def days(before: Sequence[Payment], at: dt.datetime, length: int) -> BarPlot:
    """Return the counts of payments by local day over `length` days up to a Pix, whose day is marked."""
    today = at.astimezone(LOCAL).date()
    counts = Counter((today - each.initiated_at.astimezone(LOCAL).date()).days for each in before)
    shown = [today - dt.timedelta(days=length - 1 - number) for number in range(length)]
    ticks = tuple(Tick(_across(number, length), day) for number, day in enumerate(shown) if number % 7 == length % 7)
    return _bars([counts[length - 1 - number] for number in range(length)], length - 1, ticks, before)


def _bars(counts: Sequence[int], marked: int, ticks: tuple[Tick, ...], payments: Sequence[Payment]) -> BarPlot:
    most, width = max(counts), _INNER / len(counts)
    bars = []
    for number, count in enumerate(counts):
        height = round(_TALL * count / most, 1) if most else 0.0
        x = round(LEFT + number * width + 1, 1)
        bars.append(Bar(x, round(8 + _TALL - height, 1), round(width - 2, 1), height, count, number == marked))
    return BarPlot(tuple(bars), ticks, len(payments), sum(each.amount for each in payments), most)


def _across(number: int, count: int) -> float:
    return round(LEFT + (number + 0.5) * _INNER / count, 1)


def _kind(payment: Payment) -> str:
    return "before" if payment.decision == "APPROVE" else "stopped"


def _decades(values: Sequence[int]) -> tuple[int, int]:
    """Return the powers of ten around some centavos.

    >>> _decades([150, 99_999])
    (2, 5)
    """
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _step(low: int, high: int) -> int:
    return max(1, (high - low) // 3)
