"""Outcomes of transactions that are scored, published to an outcome function while the score function is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from shared.settings import PUBLISHED
from tests.benchmarks.speed.course import Rounds, Run
from tests.benchmarks.speed.events import Prepared, settle
from tests.benchmarks.speed.load import Requests
from tests.benchmarks.speed.process import LOAD_CORE
from tests.benchmarks.speed.testbed import NotAnswered, Server, Testbed

RATE = 500
"""Outcomes a second. The outcome function shares the core of load, stub and store, so a stream as dense as that of
the transactions would measure that core."""
_ENOUGH = 20
"""Outcomes are prepared for this many times the length of a measurement, which consists of some ten loads."""


class Outcomes(NamedTuple):
    """Prepared outcomes of the first transactions, and their number a second."""

    path: Path
    rate: float

    @classmethod
    def prepare(cls, path: Path, prepared: Prepared, seconds: float) -> Outcomes:
        """Write enough outcomes for a measurement whose loads take half of `seconds` each."""
        settle(path, prepared.path, min(prepared.transactions, round(RATE * seconds * _ENOUGH) + 1))
        return cls(path, RATE)


class Published(Struct):
    """The score function with outcomes published beside it."""

    rounds: Rounds
    rate: float
    outcomes: int
    p99_ms: float


class OutcomeStream:
    """Outcomes at a fixed rate; each is sent once, and the first is already answered."""

    def __init__(self, testbed: Testbed, server: Server, outcomes: Outcomes) -> None:
        self._testbed, self._server, self._outcomes = testbed, server, outcomes
        self._prepared = len(Requests(outcomes.path))
        self.sent = 1
        self.p99_ms = 0.0
        """The highest of the streams."""

    @contextmanager
    def beside(self, scored: int) -> Iterator[None]:
        """Send outcomes of the first `scored` transactions while the context lasts."""
        count = min(scored, self._prepared) - self.sent
        if count <= 0:
            raise NotAnswered("no outcomes are left")
        with self._testbed.stream(self._server, self._outcomes.path, self.sent, count, self._outcomes.rate) as end:
            yield
            load = end()
        self.sent += load.answered
        self.p99_ms = max(self.p99_ms, load.p99_ms)


@contextmanager
def published(testbed: Testbed, run: Run, store: str, outcomes: Outcomes) -> Iterator[OutcomeStream]:
    """Run the outcome function beside a run of the score function that shares its store; outcomes flow at each load.

    Raises NotAnswered at the end unless every outcome has one row.
    """
    before = testbed.counts("outcomes").rows
    settings: dict[str, str | int] = {"state": store, "outcomes": PUBLISHED, "bigquery_emulator_host": testbed.rest}
    first = Requests(outcomes.path)[0]
    with testbed.function(first, settings, name="outcome", core=LOAD_CORE) as server:
        stream = OutcomeStream(testbed, server, outcomes)
        run.beside = stream.beside
        yield stream
    stored = testbed.counts("outcomes").rows - before
    if stored != stream.sent:
        raise NotAnswered(f"outcomes stored are {stored}, expected {stream.sent}")
