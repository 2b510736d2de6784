"""The way of one server through prepared requests, and what it came to."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence

from msgspec import Struct

from infra.capacity.plan import CONCURRENCY
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Load
from tests.benchmarks.speed.process import aside_seconds, cpu_seconds
from tests.benchmarks.speed.world import Server, World

OPEN_RATE = 5_000
CONNECTIONS = (CONCURRENCY // 4, CONCURRENCY // 2, CONCURRENCY)
"""Cloud Run hands an instance of the score function at most the last number of requests at a time."""
ROUNDS = 4
_GUESS = 5_000  # transactions per second, until the first round has said
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
    """The score function over closed loop and open loop; processor time of all, and of what runs beside its loop."""

    rounds: Rounds
    open: Load
    cpu_s_per_million: float
    aside_s_per_million: float


class Run:
    """One function's way through the prepared transactions, of which it has answered the first: each is sent once."""

    def __init__(self, world: World, server: Server, prepared: Prepared, seconds: float) -> None:
        self._world, self._server, self._prepared = world, server, prepared
        self._seconds = seconds
        self.sent = 1

    @property
    def left(self) -> int:
        """Return how many have not been sent."""
        return self._prepared.transactions - self.sent

    @property
    def pid(self) -> int:
        """Return the process of the function."""
        return self._server.child.pid

    def warm_up(self) -> None:
        """Send some that are not measured."""
        self.closed(_WARM_UP, CONCURRENCY)

    def course(self) -> Course:
        """Measure closed loop, then open loop."""
        used, aside, sent = cpu_seconds(self.pid), aside_seconds(self.pid), self.sent
        found = self.rounds()
        opened = self.open(round(OPEN_RATE * self._seconds), OPEN_RATE)
        millions = (self.sent - sent) / 1e6
        used, aside = cpu_seconds(self.pid) - used, aside_seconds(self.pid) - aside
        return Course(found, opened, used / millions, aside / millions)

    def rounds(self, connections: Sequence[int] = CONNECTIONS, guess: float = _GUESS) -> Rounds:
        """Measure closed loop, at about `guess` transactions per second."""
        return rounds(self.closed, connections, guess, self._seconds)

    def closed(self, count: int, connections: int) -> Load:
        """Send the next ones in closed loop."""
        return self._load(count, connections=connections)

    def open(self, count: int, rate: float) -> Load:
        """Send the next ones by a schedule."""
        return self._load(count, connections=CONCURRENCY, rate=rate)

    def _load(self, count: int, **options: float) -> Load:
        count = min(count, self.left)
        load = self._world.load(self._server, self._prepared.path, self.sent, count, **options)
        self.sent += count
        say(f"  {load.per_second:8,.0f}/s  p50 {load.p50_ms:.1f} ms  p99 {load.p99_ms:.1f} ms  {_text(options)}")
        return load


def rounds(load: Callable[[int, int], Load], connections: Sequence[int], guess: float, seconds: float) -> Rounds:
    """Try each number of connections, then measure with the best; `load` takes a count and connections.

    What was tried does not count: the best of several is better than it will be again.
    """
    each = seconds / 2
    tried = {n: load(round(guess * each), n).per_second for n in connections}
    best = max(connections, key=tried.__getitem__)
    return Rounds(best, [load(round(tried[best] * each), best).per_second for _ in range(ROUNDS)])


def say(text: str) -> None:
    """Tell how it goes, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _text(options: dict[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in options.items())
