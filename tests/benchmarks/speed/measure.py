"""The measured parts, one after the other, in one testbed and on one core."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from msgspec import Struct

from infra.capacity.plan import CONCURRENCY
from shared.settings import PUBLISHED
from tests.benchmarks.speed import peers
from tests.benchmarks.speed.comparison import STARTS, Comparing, Comparison
from tests.benchmarks.speed.course import Course, Rounds, Run, rounds
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.explained import Explained, explained
from tests.benchmarks.speed.load import Requests
from tests.benchmarks.speed.model import Trained
from tests.benchmarks.speed.outcomes import Outcomes, Published, published
from tests.benchmarks.speed.process import resident_mb
from tests.benchmarks.speed.questions import Asked, ask
from tests.benchmarks.speed.revision import Revision
from tests.benchmarks.speed.shadow import Shadowed, shadowed
from tests.benchmarks.speed.stub import Counts
from tests.benchmarks.speed.testbed import NotAnswered, Server, Testbed
from tests.collector import collecting

EXPORT_MS = 100
"""Export interval while the cost of metrics is measured; short, so that the cost is visible."""
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
    """The score function with metrics exported every EXPORT_MS, and without."""

    exporting: Course
    plain: Course
    exports: int
    transactions: int

    @property
    def cpu_s_per_export(self) -> float:
        """Return the processor time of one export, which runs in a background thread."""
        more = self.exporting.background_s_per_million - self.plain.background_s_per_million
        return more * 1e-6 * self.transactions / self.exports


class Bench:
    """The measurements; each takes a few times `seconds` under load."""

    def __init__(self, testbed: Testbed, prepared: Prepared, outcomes: Outcomes, seconds: float) -> None:
        self._testbed = testbed
        self._prepared = prepared
        self._outcomes = outcomes
        self._seconds = seconds
        self._first_request = Requests(prepared.path)[0]

    def memory(self) -> Memory:
        """Measure the function with state in memory and rows to the stub, over all prepared transactions."""
        cold = statistics.median(self._cold_start() for _ in range(STARTS))
        before = self._testbed.counts()
        with self._running(self._acknowledged) as run:
            rest = resident_mb(run.pid)
            run.warm_up()
            course = run.course()
            while run.left:
                run.closed(_REST, course.rounds.connections)
            after = resident_mb(run.pid)
        stored = _gained(before, self._testbed.counts())
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
        """Measure the cost of exporting metrics."""
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
            raise NotAnswered("the collector received no metrics")
        with self._running(self._acknowledged) as run:
            run.warm_up()
            return Exporting(exporting, run.course(), exports, sent)

    def valkey(self) -> Rounds:
        """Measure the function with state in Valkey or Redis, which runs on the other core."""
        store = self._testbed.valkey()
        with self._running(self._acknowledged, state=store) as run:
            run.warm_up()
            found = run.rounds()
        self._check_counted(store, run.sent)
        return found

    def outcomes(self) -> Published:
        """Measure the same, with outcomes published to an outcome function, which runs on the other core."""
        store = self._testbed.valkey()
        with self._running(self._acknowledged, state=store, outcomes=PUBLISHED) as run:
            run.warm_up()
            with published(self._testbed, run, store, self._outcomes) as stream:
                found = run.rounds()
        self._check_counted(store, run.sent + stream.sent // 2)
        return Published(found, self._outcomes.rate, stream.sent, stream.p99_ms)

    def reasons(self, trained: Trained) -> Explained:
        """Measure exact reasons for every Pix against none, with the same model."""
        return explained(self._testbed, self._prepared, self._seconds, trained.bundle)

    def shadow(self, trained: Trained) -> Shadowed:
        """Measure a challenger in the shadow against none."""
        return shadowed(self._testbed, self._prepared, self._seconds, trained.bundle)

    def decide(self) -> Asked:
        """Measure the decide function with state in Valkey or Redis, which runs on the other core."""
        return ask(self._testbed, self._prepared, self._seconds)

    def baseline(self, revision: Revision) -> Comparison:
        """Measure this revision and another in turns."""
        return Comparing(self._testbed, self._prepared, self._outcomes, self._seconds, revision).compare()

    def bqemulator(self) -> Rounds:
        """Measure the function with rows to bqemulator, which runs on the other core."""
        with self._running(self._testbed.rows, bigquery_storage_emulator_host=self._testbed.bqemulator()) as run:
            return run.rounds((CONCURRENCY,), _BQEMULATOR_GUESS)

    def tutorial(self, trained: Trained) -> Rounds:
        """Measure the tutorial function."""
        return self._peer(peers.tutorial(self._testbed, trained))

    def mlflow(self, trained: Trained) -> Rounds:
        """Measure `mlflow models serve`."""
        return self._peer(peers.mlflow_serve(self._testbed, trained))

    @contextmanager
    def _running(self, rows: Callable[[], int], **settings: str | int) -> Iterator[Run]:
        """Run the function; `rows` returns the number of stored rows.

        Raises NotAnswered at the end unless every transaction was scored with history and model and has one row.
        """
        before = rows()
        with self._testbed.function(self._first_request, settings) as server:
            run = Run(self._testbed, server, self._prepared, self._seconds)
            yield run
        _check("scored, by degradation step,", server.scored(), {"full": run.sent})
        _check("stored", rows() - before, run.sent)

    def _check_counted(self, store: str, least: int) -> None:
        """Raise NotAnswered unless a store has counted transactions, decisions and outcomes, at `least` this many."""
        if (changes := self._testbed.changes(store)) < least:
            raise NotAnswered(f"the store counted {changes} changes, expected {least} or more")

    def _acknowledged(self) -> int:
        return self._testbed.counts().rows

    def _cold_start(self) -> float:
        with self._testbed.function(self._first_request, {}) as server:
            return server.first_answer_s

    def _peer(self, running: AbstractContextManager[tuple[Server, Path]]) -> Rounds:
        with running as (server, requests):
            return rounds(
                lambda count, n: self._testbed.load(server, requests, 0, min(count, peers.VECTORS), connections=n),
                _PEER_CONNECTIONS,
                _PEER_GUESS,
                self._seconds,
            )


def _check(name: str, found: object, expected: object) -> None:
    if found != expected:
        raise NotAnswered(f"transactions {name} are {found}, expected {expected}")


def _gained(before: Counts, after: Counts) -> Counts:
    return Counts(*(getattr(after, name) - getattr(before, name) for name in Counts.__struct_fields__))
