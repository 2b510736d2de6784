"""Run the simulated world day by day and yield its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import compress
from operator import itemgetter

import numpy as np

from infra.local.simulator import fates, habits, mules, world
from infra.local.simulator.arrays import Ints
from infra.local.simulator.clock import DAY_MS, Day, local_date, weekday
from infra.local.simulator.config import FIRST_FRAUD, Kind, SimulationConfig, to_ms
from infra.local.simulator.directory import Directory
from infra.local.simulator.encode import Encoder
from infra.local.simulator.fates import Fate
from infra.local.simulator.frauds import Frauds
from infra.local.simulator.ids import end_to_end_ids
from infra.local.simulator.labels import LabelProcess, usual_situation
from infra.local.simulator.outcomes import OutcomeProcess
from infra.local.simulator.payments import NOTHING, Payments, together
from infra.local.simulator.routines import Routines

_GROWTH = 0.25
_moment = itemgetter(0)
WEEKDAYS = np.array([1.0, 0.98, 1.0, 1.04, 1.22, 1.08, 0.78])
_FRAUDS_PER_FALSE_SHOP, _FRAUDS_PER_STOLEN_IDENTITY, _FRAUDS_PER_RING = 25, 32, 90


class Simulation:
    """One run.

    `kinds` counts the payments so far by reason, `labels` the reports by result, `both_sides` the payments of which
    the payee's side asks too. `frauds` has the usual situation of each fraud and mule transfer so far, by EndToEndId,
    reported or not: the right answer of a reviewer.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.kinds: Counter[str] = Counter()
        self.feedback = self.events = self.both_sides = 0
        self.frauds: dict[str, str] = {}
        rng = np.random.default_rng([config.seed, 0])
        frauds = config.transactions * config.fraud_rate
        false_shops = max(1, round(frauds / _FRAUDS_PER_FALSE_SHOP))
        stolen = max(1, round(frauds / _FRAUDS_PER_STOLEN_IDENTITY))
        mule_plan = mules.plan(rng, config)
        first = config.start_ms // DAY_MS
        stolen_opened = first + rng.integers(-30, config.days, stolen)
        self._world = world.build(rng, config, np.concatenate([mule_plan.opened, stolen_opened]), false_shops)
        owners, fresh = self._world.owners, self._world.fresh
        rings = round(frauds / _FRAUDS_PER_RING)
        self._mules = mules.Mules(rng, self._world, mule_plan, fresh[: mule_plan.fresh], rings)
        self._frauds = Frauds(
            rng, self._world, self._mules, np.arange(owners - false_shops, owners), fresh[mule_plan.fresh :]
        )
        self._routines = Routines(rng, self._world, config.pace)
        self._directory = Directory(rng, self._world, first, config.transactions / config.days)
        self._outcomes = OutcomeProcess(self._world)
        self._labels = LabelProcess(self._world, self._directory, self._outcomes, config)
        self._encoder = Encoder(self._world, self._directory)
        # Its own generator: the payments are the same whoever asks.
        self._sides = np.random.default_rng([config.seed, 0, 2])
        self._targets = _targets(config)

    @property
    def outcomes(self) -> Counter[str]:
        """Return the number of outcomes by status."""
        return self._outcomes.counts

    @property
    def labels(self) -> Counter[str]:
        """Return the number of each outcome of the label process."""
        return self._labels.counts

    def days(self) -> Iterator[list[bytes]]:
        """Yield the lines of each day in time order, then the feedback after the end.

        A simulation runs once; call this once only.
        """
        carried = NOTHING
        for index, target in enumerate(self._targets.tolist()):
            day = Day(index, self.config.start_ms + index * DAY_MS)
            rng = np.random.default_rng([self.config.seed, 1 + index])
            rows, carried = self._payments(rng, day, target, carried)
            yield self._lines(rng, day, rows)
            arrived = rows.take(fates.settled(rows))
            self._directory.settle(arrived.payee, local_date(arrived.at))
        yield self._later()

    def lines(self) -> Iterator[bytes]:
        """Yield every line in time order."""
        for day in self.days():
            yield from day

    def _payments(
        self, rng: np.random.Generator, day: Day, target: int, carried: Payments
    ) -> tuple[Payments, Payments]:
        """Return the payments of the day, and the payments caused by it on the next."""
        today = int(local_date(np.array(day.start)))
        emitted = self.kinds.total()
        frauds = fates.draw(rng, self._frauds.on(rng, day, today, self._fraud_quota(target, carried)))
        parts = [
            carried,
            self._routines.on(rng, day, today),
            frauds,
            self._mules.pass_on(rng, day, today, frauds),
            self._mules.everyday(rng, day, today),
            self._frauds.everyday(rng, day, today),
        ]
        rows = together(parts)
        later = rows.at >= day.end
        rows, carried = rows.take(~later), rows.take(later)
        missing = target - emitted - len(rows)
        if missing < 0:
            rows = rows.take(rng.permutation(len(rows))[: target - emitted])
        everyday = habits.ordinary(rng, self._world, day, today, max(0, missing))
        return fates.draw(rng, together([rows, everyday])).in_time_order(), carried

    def _fraud_quota(self, target: int, carried: Payments) -> int:
        done = sum(self.kinds[kind.name] for kind in Kind if kind >= FIRST_FRAUD)
        wanted = round(target * self.config.fraud_rate)
        return wanted - done - int((carried.kind >= FIRST_FRAUD).sum())

    def _lines(self, rng: np.random.Generator, day: Day, rows: Payments) -> list[bytes]:
        today = int(local_date(np.array(day.start)))
        ids = end_to_end_ids(rng, self._world, rows)
        lines = self._encoder.lines(rng, rows, ids, day, today)
        for row in np.flatnonzero(rows.kind >= Kind.MULE_TRANSFER).tolist():
            self.frauds[ids[row]] = usual_situation(Kind(int(rows.kind[row])))
        of_payees = self._asked_by_payees(rows, ids, day, today)
        returned = self._outcomes.observe(rng, rows, ids)
        self._labels.observe(rows, ids, returned)
        self._labels.open(day.end)
        for kind, count in enumerate(np.bincount(rows.kind, minlength=len(Kind)).tolist()):
            self.kinds[Kind(kind).name] += count
        return self._merged(day.end, merge(zip(rows.at.tolist(), lines, strict=True), of_payees, key=_moment))

    def _asked_by_payees(self, rows: Payments, ids: list[str], day: Day, today: int) -> list[tuple[int, bytes]]:
        """Return the lines of the payees' sides; a Pix that the payer cancels never reaches them."""
        chosen = (self._sides.random(len(rows)) < self.config.both_sides) & (rows.fate != Fate.CANCELLED)
        asked = rows.take(chosen)
        self.both_sides += len(asked)
        lines = self._encoder.lines_of_payees(asked, list(compress(ids, chosen.tolist())), day, today)
        return list(zip(asked.at.tolist(), lines, strict=True))

    def _later(self) -> list[bytes]:
        """Return the lines after the end of the period."""
        self._labels.open(None)
        until = self.config.labels_until
        return self._merged(None if until is None else max(self.config.end_ms, to_ms(until) + 1), ())

    def _merged(self, before: int | None, transactions: Iterable[tuple[int, bytes]]) -> list[bytes]:
        """Return the lines before a moment in time order; of one millisecond, transactions come first."""
        until = None if self.config.labels_until is None else to_ms(self.config.labels_until) + 1
        feedback = list(self._labels.due(min((each for each in (before, until) if each is not None), default=None)))
        outcomes = self._outcomes.due(before) if self.config.outcomes else ()
        self.feedback += len(feedback)
        lines = [text for _, text in merge(transactions, outcomes, feedback, key=_moment)]
        self.events += len(lines)
        return lines


def simulate(config: SimulationConfig) -> Iterator[bytes]:
    """Yield the events of a simulation as encoded lines (with line feed), in time order."""
    return Simulation(config).lines()


def _targets(config: SimulationConfig) -> Ints:
    """Return the cumulative number of transactions at the end of each day; shape (days,)."""
    noon = (config.start_ms + np.arange(config.days) * DAY_MS + DAY_MS // 2) // DAY_MS
    weight = WEEKDAYS[[weekday(int(date)) for date in noon]]
    weight = weight * (1 + _GROWTH * np.arange(config.days) / config.days)
    targets: Ints = np.rint(config.transactions * np.cumsum(weight) / weight.sum()).astype(np.int64)
    return targets
