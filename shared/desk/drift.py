"""The content of the page of drift: the score over days, inputs of the last day, and days explained."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from shared.contract.cause import CAUSE, CHANGES, CauseRecord, cause_of
from shared.contract.rows import HealthRow
from shared.desk.charts import LEFT, WIDTH
from shared.desk.health import MeasureSeries, points
from shared.desk.records import moment

SCORES = ("score_psi", "score_psi_mix", "score_psi_given")
EXPLAINED = (CAUSE, *CHANGES)
MOVES, LIMITS, PUBLISHED = "input_weighted", "input_limit", "publisher_weighted"
INPUTS = (MOVES, LIMITS, PUBLISHED)
SHOWN = 12
"""Inputs and publishers shown, those that moved farthest."""
STEP = 22
"""Height of a bar with its label, in units of the view box."""


class MoveBar(Struct, frozen=True):
    """A bar of a move in log-odds, its length, and the place of its limit; None as long as no habit is known."""

    name: str
    value: float
    limit: float | None
    y: float
    width: float
    limit_x: float | None

    @property
    def is_beyond(self) -> bool:
        """Whether the move is beyond its limit."""
        return self.limit is not None and self.value > self.limit


class MovePlot(Struct, frozen=True):
    """The farthest moves of a day."""

    day: dt.date
    bars: tuple[MoveBar, ...]

    @property
    def height(self) -> int:
        """Height of the view box."""
        return STEP * len(self.bars) + 8


class ExplainedDay(Struct, frozen=True):
    """A day's change of log-odds, alerts and foretold loss in BRL, and its causes in the order of their ranks."""

    day: dt.date
    changes: tuple[float | None, ...]
    causes: tuple[CauseRecord, ...]


class DriftView(Struct, frozen=True):
    """All that the page shows; a plot is None where nothing is measured."""

    scores: tuple[MeasureSeries, ...]
    inputs: MovePlot | None
    publishers: MovePlot | None
    explained: tuple[ExplainedDay, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.scores or self.inputs or self.publishers or self.explained)


def drift(rows: Sequence[HealthRow], recent: Sequence[HealthRow]) -> DriftView:
    """Return the content of the page, from rows of SCORES and EXPLAINED over weeks and of INPUTS of the last days."""
    series = [MeasureSeries(name, "index", points(name, rows)) for name in SCORES]
    return DriftView(
        tuple(each for each in series if each.points),
        _moves(recent, MOVES),
        _moves(recent, PUBLISHED),
        tuple(_explained(rows)),
    )


def _moves(rows: Sequence[HealthRow], measure: str) -> MovePlot | None:
    """Return the moves of the last day that has any; those nearest to their limits first, then the largest."""
    own = [row for row in rows if row.measure == measure and row.segment and row.value is not None]
    if not own:
        return None
    last = max(row.day for row in own)
    limits = {row.segment: row.value for row in rows if row.measure == LIMITS and row.day == last}
    found = [(row.segment or "", row.value or 0.0, limits.get(row.segment)) for row in own if row.day == last]
    found.sort(key=lambda one: (-(one[1] / one[2] if one[2] else 0.0), -one[1]))
    shown = found[:SHOWN]
    most = max(max(value, limit or 0.0) for _, value, limit in shown) or 1.0
    inner = WIDTH - LEFT - 8

    def along(value: float) -> float:
        return round(inner * value / most, 1)

    bars = [
        MoveBar(name, value, limit, 4 + STEP * number, along(value), None if limit is None else along(limit))
        for number, (name, value, limit) in enumerate(shown)
    ]
    return MovePlot(moment(last).date(), tuple(bars))


def _explained(rows: Sequence[HealthRow]) -> list[ExplainedDay]:
    """Return the explained days, latest first, each as it was explained last."""
    latest = dict[int, int]()
    for row in rows:
        if row.measure in EXPLAINED:
            latest[row.day] = max(latest.get(row.day, 0), row.measured_at)
    found = []
    for day, at in sorted(latest.items(), reverse=True):
        own = [row for row in rows if row.day == day and row.measured_at == at and row.measure in EXPLAINED]
        causes = [cause for row in own if row.measure == CAUSE and (cause := cause_of(row))]
        values = {row.measure: row.value for row in own}
        found.append(
            ExplainedDay(
                moment(day).date(),
                tuple(values.get(name) for name in CHANGES),
                tuple(sorted(causes, key=lambda cause: cause.rank)),
            )
        )
    return found
