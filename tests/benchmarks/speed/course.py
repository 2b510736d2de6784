"""Runs of one server over the prepared requests."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from msgspec import Struct

from infra.capacity.plan import CONCURRENCY
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Load
from tests.benchmarks.speed.process import background_seconds, cpu_seconds
from tests.benchmarks.speed.testbed import NotAnswered, Server, Testbed

OPEN_RATE = 5_000
CONNECTIONS = (CONCURRENCY // 4, CONCURRENCY // 2, CONCURRENCY)
"""Numbers of connections to try; Cloud Run sends an instance at most the last number of requests at a time."""
ROUNDS = 4
_GUESS = 5_000  # transactions per second, until the first round is measured
_WARM_UP = 20_000


class Rounds(Struct):
    """Requests per second of several rounds in closed loop, at the best number of connections."""

    connections: int
    rates: list[float]

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def best(self) -> float:
        """Return the best of the rounds."""
        return max(self.rates)


class Course(Struct):
    """The score function in closed loop and open loop."""

    rounds: Rounds
    open: Load
    cpu_s_per_million: float
    """Processor time of all threads."""
    background_s_per_million: float
    """Processor time of threads other than the event loop's."""


class Run:
    """One function's run over the prepared transactions; each is sent once, and the first is already answered."""

    def __init__(self, testbed: Testbed, server: Server, prepared: Prepared, seconds: float) -> None:
        self._testbed, self._server, self._prepared = testbed, server, prepared
        self._seconds = seconds
        self.sent = 1
        self.beside: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext()
        """A context in which each load runs; it takes the number of transactions sent before."""

    @property
    def left(self) -> int:
        """Return the number of unsent transactions."""
        return self._prepared.transactions - self.sent

    @property
    def server(self) -> Server:
        """Return the function."""
        return self._server

    @property
    def pid(self) -> int:
        """Return the process id of the function."""
        return self._server.child.pid

    def warm_up(self) -> None:
        """Send transactions without measuring them."""
        self.closed(_WARM_UP, CONCURRENCY)

    def course(self) -> Course:
        """Measure closed loop, then open loop."""
        used, background, sent = cpu_seconds(self.pid), background_seconds(self.pid), self.sent
        found = self.rounds()
        opened = self.open(round(OPEN_RATE * self._seconds), OPEN_RATE)
        millions = (self.sent - sent) / 1e6
        used, background = cpu_seconds(self.pid) - used, background_seconds(self.pid) - background
        return Course(found, opened, used / millions, background / millions)

    def rounds(self, connections: Sequence[int] = CONNECTIONS, guess: float = _GUESS) -> Rounds:
        """Measure closed loop, at about `guess` transactions per second."""
        return rounds(self.closed, connections, guess, self._seconds)

    def closed(self, count: int, connections: int) -> Load:
        """Send the next transactions in closed loop."""
        return self._load(count, connections=connections)

    def open(self, count: int, rate: float) -> Load:
        """Send the next transactions in open loop, `rate` a second."""
        return self._load(count, connections=CONCURRENCY, rate=rate)

    def _load(self, count: int, **options: float) -> Load:
        count = min(count, self.left)
        if not count:
            raise NotAnswered(f"all {self.sent:,} transactions are sent before the end; prepare more")
        with self.beside(self.sent):
            load = self._testbed.load(self._server, self._prepared.path, self.sent, count, **options)
        self.sent += count
        progress(f"  {load.per_second:8,.0f}/s  p50 {load.p50_ms:.1f} ms  p99 {load.p99_ms:.1f} ms  {_text(options)}")
        return load


def rounds(load: Callable[[int, int], Load], connections: Sequence[int], guess: float, seconds: float) -> Rounds:
    """Try each number of connections, then measure with the best; `load` takes a count and connections.

    The trials do not count, because the best of several trials is biased upwards.
    """
    best, rate = tuned(load, connections, guess, seconds)
    return Rounds(best, [load(round(rate * seconds / 2), best).per_second for _ in range(ROUNDS)])


def tuned(
    load: Callable[[int, int], Load], connections: Sequence[int], guess: float, seconds: float
) -> tuple[int, float]:
    """Return the best number of connections, and its requests per second."""
    tried = {n: load(round(guess * seconds / 2), n).per_second for n in connections}
    best = max(connections, key=tried.__getitem__)
    return best, tried[best]


def progress(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def _text(options: dict[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in options.items())
