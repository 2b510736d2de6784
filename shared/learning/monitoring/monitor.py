"""Measure the days that have no row in `pix.health` yet, and those whose labels have come of age."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import HealthRow
from shared.contract.stored import stored
from shared.contract.tables import measured
from shared.learning.monitoring.health_sql import ONE_DAY, HealthSql
from shared.learning.monitoring.ladder import AGES
from shared.learning.monitoring.measures import REMEMBERED, Key, arrivals, cohort, reasons, traffic
from shared.learning.monitoring.reject_watch import RejectWatch
from shared.learning.monitoring.watch import InputWatch
from shared.learning.ports import ReportProgress
from shared.learning.specs.gate import CostSpec
from shared.ports.tables import Queries

TABLE = "health"
SETTLE = dt.timedelta(hours=6)
"""Time after a day's end at which it is measured: rows that were delivered again are stored by then."""
_REMEMBERED = 2 * AGES[-1]  # days before the first one due, whose labels tell the growth of younger ones


class HealthRows(Protocol):
    """The table `pix.health`, to append to."""

    def append(self, rows: Sequence[HealthRow]) -> None:
        """Append rows in one request. Raises Unavailable, RowRefused if the table takes not all of them."""
        ...


class DueMeasure(Struct, frozen=True):
    """A day to measure: its traffic, or its labels at an age in days."""

    day: dt.datetime
    age_days: int | None = None

    @property
    def name(self) -> str:
        """The day, and the age of its labels."""
        return f"{self.day:%Y-%m-%d}" + ("" if self.age_days is None else f" after {self.age_days} days")


class Monitored(Struct, frozen=True):
    """The result of a run: the days and the cohorts measured, and the rows appended."""

    outcome: str
    days: int
    cohorts: int
    rows: int


@dataclass(frozen=True, slots=True)
class Monitor:
    """The services of a run; `costs` have the review budget and the ceilings on rejects of each side.

    Without `inputs` those are not measured, without `rejects` nobody is told of a ceiling that is broken.
    """

    queries: Queries
    health: HealthRows
    sql: HealthSql
    costs: Mapping[str, CostSpec]
    clock: Callable[[], dt.datetime]
    inputs: InputWatch | None = None
    rejects: RejectWatch | None = None

    def run(self, days: int, as_of: dt.datetime, report: ReportProgress) -> Monitored:
        """Measure all that is due of `days` days, and append it day by day, so that a run cut off goes on later.

        Raises Unavailable, Misconfigured, RowRefused.
        """
        since = _start(as_of) - (days + _REMEMBERED) * ONE_DAY
        sql = measured(self.sql.project, self.sql.dataset, sorted(REMEMBERED), segments=False)
        found = self.queries.rows(sql, {"since": since})
        known = [stored(HealthRow, TABLE, row) for row in found if row["measure"] in REMEMBERED]
        work, appended = due(known, days, as_of), 0
        for number, each in enumerate(work):
            report(number, len(work), each.name)
            rows = self._measure(each, known)
            if self.rejects:
                self.rejects.tell(rows, known, each.day + ONE_DAY)
            self.health.append(rows)
            known += [row for row in rows if row.measure in REMEMBERED and row.segment is None]
            appended += len(rows)
        cohorts = sum(each.age_days is not None for each in work)
        return Monitored("MEASURED" if work else "NOTHING_TO_DO", len(work) - cohorts, cohorts, appended)

    def _measure(self, each: DueMeasure, known: Sequence[HealthRow]) -> list[HealthRow]:
        key, ask = Key(micros(each.day), micros(self.clock()), age_days=each.age_days), self.queries.rows
        if each.age_days is not None:
            return cohort(ask(self.sql.cohort(each.day, each.age_days), {}), key, known)
        of_day = traffic(ask(self.sql.traffic(each.day), {}), key, self.costs, known)
        return [
            *of_day,
            *(self.inputs.measured(each.day, key, of_day, known) if self.inputs else ()),
            *reasons(ask(self.sql.reasons(each.day), {}), key),
            *arrivals(ask(self.sql.arrivals(each.day), {}), key),
        ]


def due(known: Sequence[HealthRow], days: int, as_of: dt.datetime) -> list[DueMeasure]:
    """Return the missing measures of the last `days` days: their traffic, and the labels that came of age on them.

    In order of time, so that no cohort is projected by later ones.

    >>> found = due([], 1, dt.datetime(2026, 11, 3, 8, tzinfo=dt.UTC))
    >>> [(f"{each.day:%m-%d}", each.age_days) for each in found[:3]]
    [('11-02', None), ('08-07', 87), ('09-03', 60)]
    """
    done = {(row.day, row.age_days) for row in known}
    last = _start(as_of - SETTLE)
    passed = [last - number * ONE_DAY for number in range(days, 0, -1)]
    of_day = [(DueMeasure(day), *(DueMeasure(day - age * ONE_DAY, age) for age in reversed(AGES))) for day in passed]
    return [each for all_ in of_day for each in all_ if (micros(each.day), each.age_days) not in done]


def _start(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
