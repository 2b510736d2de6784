"""This revision against a baseline, in turns of seconds on the same core, so that a busy machine disturbs both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, TypeVar

from msgspec import Struct

from shared.settings import ASSUMED, PUBLISHED
from tests.benchmarks.speed.course import CONNECTIONS, Run, progress, tuned
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Requests
from tests.benchmarks.speed.outcomes import Outcomes, published
from tests.benchmarks.speed.process import cpu_seconds, resident_mb
from tests.benchmarks.speed.revision import Revision
from tests.benchmarks.speed.testbed import OURS, NotAnswered, Testbed

Figure = TypeVar("Figure")

STARTS = 5
TURNS = 8
_GUESS = 5_000  # transactions per second, until the first trial
_REST = 100_000


class Pace(NamedTuple):
    """Transactions a second, and the processor time of the score function for a million of them."""

    per_second: float
    cpu_s_per_million: float


class Turns(Struct):
    """A figure of the baseline and of this revision, measured in turns."""

    before: list[float]
    now: list[float]

    @property
    def ratio(self) -> float:
        """Return the median ratio of this revision to the baseline among neighbouring turns."""
        return statistics.median(now / before for before, now in zip(self.before, self.now, strict=True))


class Comparison(Struct):
    """Figures of both revisions: transactions a second, seconds of a cold start, and MB."""

    baseline: str
    cold_start_s: Turns
    memory: Turns
    rest_mb: Turns
    after_mb: Turns
    transactions: int
    """Transactions before `after_mb`, with state in memory."""
    valkey: Turns
    outcomes: Turns
    """With state in Valkey, and outcomes published to this revision only: the baseline may not know them."""
    valkey_cpu_s: Turns
    """Processor time of the score function for a million, which a busy store or load generator does not change."""
    outcomes_cpu_s: Turns
    valkey_mb: Turns


class Comparing:
    """The measurements; requests of the baseline's simulator suit both revisions, as a message only gains fields."""

    def __init__(
        self, testbed: Testbed, prepared: Prepared, outcomes: Outcomes, seconds: float, baseline: Revision
    ) -> None:
        self._testbed, self._prepared, self._outcomes = testbed, prepared, outcomes
        self._seconds, self._baseline = seconds, baseline
        self._first = Requests(prepared.path)[0]

    def compare(self) -> Comparison:
        """Measure cold start, state in memory, and state in Valkey without and with published outcomes."""
        cold = _in_turns([lambda: self._cold_start(self._baseline), lambda: self._cold_start(OURS)], STARTS)
        progress("  state in memory ...")
        memory, rest, after = self._in_memory()
        progress("  state in Valkey ...")
        (valkey, cpu), (outcomes, outcomes_cpu), resident = self._in_valkey()
        return Comparison(
            baseline=str(self._baseline.root),
            cold_start_s=Turns(*cold),
            memory=memory,
            rest_mb=rest,
            after_mb=after,
            transactions=self._prepared.transactions,
            valkey=valkey,
            outcomes=outcomes,
            valkey_cpu_s=cpu,
            outcomes_cpu_s=outcomes_cpu,
            valkey_mb=resident,
        )

    def _in_memory(self) -> tuple[Turns, Turns, Turns]:
        """Return transactions a second, MB at rest, and MB after all transactions."""
        with self._running(self._baseline) as before, self._running(OURS) as now:
            runs = [before, now]
            rest = _resident(runs)
            for run in runs:
                run.warm_up()
            rates = Turns(*_rates(paces(runs, self._seconds)))
            for run in runs:
                while run.left:
                    run.closed(_REST, CONNECTIONS[-1])
            return rates, rest, _resident(runs)

    def _in_valkey(self) -> tuple[tuple[Turns, Turns], tuple[Turns, Turns], Turns]:
        """Return rates and processor times with assumed and with published outcomes, and MB after them."""
        assumed, store = self._testbed.valkey(), self._testbed.valkey()
        with (
            self._running(self._baseline, state=self._testbed.valkey(self._baseline)) as before,
            self._running(OURS, state=assumed, outcomes=ASSUMED) as now,
            self._running(OURS, state=store, outcomes=PUBLISHED) as beside,
        ):
            runs = [before, now, beside]
            for run in runs:
                run.warm_up()
            with published(self._testbed, beside, store, self._outcomes):
                found = paces(runs, self._seconds)
            rates, cpu = _rates(found), _cpu(found)
            assumed_, published_ = ((Turns(rates[0], rates[i]), Turns(cpu[0], cpu[i])) for i in (1, 2))
            return assumed_, published_, _resident([before, beside])

    def _running(self, revision: Revision, **settings: str | int) -> AbstractContextManager[Run]:
        return running(self._testbed, self._prepared, self._seconds, revision, **settings)

    def _cold_start(self, revision: Revision) -> float:
        with self._testbed.function(self._first, {}, revision) as server:
            return server.first_answer_s


def paces(runs: list[Run], seconds: float) -> list[list[Pace]]:
    """Return the paces of each run, in turns of `seconds` and each at its best number of connections."""
    best = [tuned(run.closed, CONNECTIONS, _GUESS, seconds) for run in runs]
    counts = [round(rate * seconds / 2) for _, rate in best]

    def turn(run: Run, count: int, connections: int) -> Callable[[], Pace]:
        return lambda: _pace(run, count, connections)

    return _in_turns([turn(run, n, each[0]) for run, n, each in zip(runs, counts, best, strict=True)], TURNS)


def turns(found: list[list[Pace]], figure: str) -> Turns:
    """Return a figure of the paces of two runs."""
    before, now = ([getattr(pace, figure) for pace in each] for each in found)
    return Turns(before, now)


@contextmanager
def running(
    testbed: Testbed, prepared: Prepared, seconds: float, revision: Revision, **settings: str | int
) -> Iterator[Run]:
    """Run a score function. Raises NotAnswered at the end unless history and model were there for every score."""
    with testbed.function(Requests(prepared.path)[0], settings, revision) as server:
        run = Run(testbed, server, prepared, seconds)
        yield run
    if (scored := server.scored()) != {"full": run.sent}:
        raise NotAnswered(f"{revision.root}: scored, by degradation step, {scored}, expected {run.sent} full")


def _pace(run: Run, count: int, connections: int) -> Pace:
    used = cpu_seconds(run.pid)
    load = run.closed(count, connections)
    return Pace(load.per_second, 1e6 * (cpu_seconds(run.pid) - used) / load.answered)


def _rates(found: list[list[Pace]]) -> list[list[float]]:
    return [[pace.per_second for pace in each] for each in found]


def _cpu(found: list[list[Pace]]) -> list[list[float]]:
    return [[pace.cpu_s_per_million for pace in each] for each in found]


def _in_turns(measurements: list[Callable[[], Figure]], count: int) -> list[list[Figure]]:
    """Return `count` figures of each; every second turn goes backwards, so that a drift favours nobody."""
    found: list[list[Figure]] = [[] for _ in measurements]
    for turn in range(count):
        order = list(zip(measurements, found, strict=True))
        for measure, figures in reversed(order) if turn % 2 else order:
            figures.append(measure())
    return found


def _resident(runs: list[Run]) -> Turns:
    before, now = (resident_mb(run.pid) for run in runs)
    return Turns([before], [now])
