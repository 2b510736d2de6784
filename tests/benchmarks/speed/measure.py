"""What is measured, one part after the other, in one world and on one core."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from msgspec import Struct

from infra.capacity.plan import CONCURRENCY
from tests.benchmarks.speed import peers
from tests.benchmarks.speed.course import Course, Rounds, Run, rounds
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Requests
from tests.benchmarks.speed.model import Trained
from tests.benchmarks.speed.process import resident_mb
from tests.benchmarks.speed.stub import Counts
from tests.benchmarks.speed.world import NotAnswered, Server, World
from tests.collector import collecting

STARTS = 5
EXPORT_MS = 100
"""Between two exports of metrics, where their cost is measured: often, so that it shows."""
_PEER_CONNECTIONS = (4, 16)
_PEER_GUESS, _BQEMULATOR_GUESS = 300, 1_000
_REST = 100_000


class Memory(Struct):
    """The score function with its state in memory."""

    course: Course
    cold_start_s: float
    rest_mb: float
    after_mb: float
    transactions: int
    row_bytes: float
    rows_per_append: float


class Exporting(Struct):
    """The score function while it exports metrics every EXPORT_MS, and the same without."""

    exporting: Course
    plain: Course
    exports: int
    transactions: int

    @property
    def cpu_s_per_export(self) -> float:
        """Return the processor time of an export, which runs in a thread beside the loop."""
        more = self.exporting.aside_s_per_million - self.plain.aside_s_per_million
        return more * 1e-6 * self.transactions / self.exports


class Bench:
    """The parts; each takes some times `seconds` under load, and tells how it goes."""

    def __init__(self, world: World, prepared: Prepared, seconds: float) -> None:
        self._world = world
        self._prepared = prepared
        self._seconds = seconds
        self._first_request = Requests(prepared.path)[0]

    def memory(self) -> Memory:
        """Measure the function with state in memory and rows to the stub, over all the transactions prepared."""
        cold = statistics.median(self._cold_start() for _ in range(STARTS))
        before = self._world.counts()
        with self._running(self._acknowledged) as run:
            rest = resident_mb(run.pid)
            run.warm_up()
            course = run.course()
            while run.left:
                run.closed(_REST, course.rounds.connections)
            after = resident_mb(run.pid)
        stored = _gained(before, self._world.counts())
        return Memory(
            course=course,
            cold_start_s=cold,
            rest_mb=rest,
            after_mb=after,
            transactions=run.sent,
            row_bytes=stored.row_bytes / stored.rows,
            rows_per_append=stored.rows / stored.requests,
        )

    def metrics(self) -> Exporting:
        """Measure what the export of metrics costs."""
        with collecting() as collector:
            settings: dict[str, str | int] = {
                "otel_exporter_otlp_endpoint": collector.url,
                "otel_metric_export_interval": EXPORT_MS,
            }
            with self._running(self._acknowledged, **settings) as run:
                run.warm_up()
                before, sent = len(collector.requests), run.sent
                exporting = run.course()
                exports, sent = len(collector.requests) - before, run.sent - sent
        if not exports:
            raise NotAnswered("no metrics came to the collector")
        with self._running(self._acknowledged) as run:
            run.warm_up()
            return Exporting(exporting, run.course(), exports, sent)

    def valkey(self) -> Rounds:
        """Measure the function with state in Valkey or Redis, which runs on the other core."""
        store = self._world.valkey()
        with self._running(self._acknowledged, state=store) as run:
            run.warm_up()
            found = run.rounds()
        _check("counted by the store", self._world.counted(store), run.sent)
        return found

    def bqemulator(self) -> Rounds:
        """Measure the function with rows to bqemulator, which runs on the other core."""
        with self._running(self._world.rows, bigquery_storage_emulator_host=self._world.bqemulator()) as run:
            return run.rounds((CONCURRENCY,), _BQEMULATOR_GUESS)

    def tutorial(self, trained: Trained) -> Rounds:
        """Measure the tutorial function."""
        return self._peer(peers.tutorial(self._world, trained))

    def mlflow(self, trained: Trained) -> Rounds:
        """Measure `mlflow models serve`."""
        return self._peer(peers.mlflow_serve(self._world, trained))

    @contextmanager
    def _running(self, rows: Callable[[], int], **settings: str | int) -> Iterator[Run]:
        """Run the function; `rows` says how many are stored.

        Raises NotAnswered at the end unless each transaction that was sent was scored with history and model, and
        has one row.
        """
        before = rows()
        with self._world.function(self._first_request, **settings) as server:
            run = Run(self._world, server, self._prepared, self._seconds)
            yield run
        _check("scored, by step of the ladder,", server.scored(), {"full": run.sent})
        _check("stored", rows() - before, run.sent)

    def _acknowledged(self) -> int:
        return self._world.counts().rows

    def _cold_start(self) -> float:
        with self._world.function(self._first_request) as server:
            return server.first_answer_s

    def _peer(self, running: AbstractContextManager[tuple[Server, Path]]) -> Rounds:
        with running as (server, requests):
            return rounds(
                lambda count, n: self._world.load(server, requests, 0, min(count, peers.VECTORS), connections=n),
                _PEER_CONNECTIONS,
                _PEER_GUESS,
                self._seconds,
            )


def _check(what: str, found: object, sent: object) -> None:
    if found != sent:
        raise NotAnswered(f"{what} were {found}, and should be {sent}")


def _gained(before: Counts, after: Counts) -> Counts:
    return Counts(*(getattr(after, name) - getattr(before, name) for name in Counts.__struct_fields__))
