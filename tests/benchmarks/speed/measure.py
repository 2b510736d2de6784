"""What is measured, one part after the other, in one world and on one core."""

from __future__ import annotations

import statistics
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import Struct

from tests.benchmarks.speed import peers
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Load, Requests
from tests.benchmarks.speed.model import Trained
from tests.benchmarks.speed.process import cpu_seconds, resident_mb
from tests.benchmarks.speed.stub import Counts
from tests.benchmarks.speed.world import NotAnswered, Server, World

OPEN_RATE = 5_000
CONNECTIONS = (256, 512, 1_000)
"""Cloud Run hands an instance at most 1,000 requests at a time."""
_PEER_CONNECTIONS = (4, 16)
_STARTS = 3
_GUESS = 5_000  # transactions per second, until the first round has said
_PEER_GUESS = 300
_ROUNDS = 4
_WARM_UP = 20_000


class Memory(Struct):
    """The score function with its state in memory."""

    best: Load
    median_per_second: float
    connections: int
    open: Load
    cold_start_s: float
    rest_mb: float
    after_mb: float
    transactions: int
    cpu_s_per_million: float
    row_bytes: float
    rows_per_append: float


class Peer(Struct):
    """A server under closed loop, at the best of several rounds."""

    best: Load
    connections: int


class Bench:
    """The parts; each takes about `seconds` under load, and tells `say` how it goes."""

    def __init__(self, world: World, prepared: Prepared, seconds: float) -> None:
        self._world = world
        self._prepared = prepared
        self._seconds = seconds
        self._first_request = Requests(prepared.path)[0]

    def memory(self) -> Memory:
        """Measure the function with state in memory and rows to the stub, over all the transactions prepared."""
        cold = min(self._cold_start() for _ in range(_STARTS))
        before = self._world.counts()
        with self._world.function(first=self._first_request) as server:
            rest = resident_mb(server.pid)
            used = cpu_seconds(server.pid)
            run = _Run(self._world, server, self._prepared, after=1)
            run.closed(_WARM_UP, CONNECTIONS[0])
            peer, rates = self._closed(run)
            opened = run.open(round(OPEN_RATE * self._seconds), OPEN_RATE)
            while run.left:
                run.closed(min(run.left, 100_000), peer.connections)
            used = cpu_seconds(server.pid) - used
            after = resident_mb(server.pid)
        stored = _gained(before, self._world.counts())
        if stored.rows != run.sent + 1:
            raise NotAnswered(f"{run.sent + 1} transactions were acknowledged, {stored.rows} rows stored")
        return Memory(
            best=peer.best,
            median_per_second=statistics.median(rates),
            connections=peer.connections,
            open=opened,
            cold_start_s=cold,
            rest_mb=rest,
            after_mb=after,
            transactions=run.sent + 1,
            cpu_s_per_million=used / run.sent * 1e6,
            row_bytes=stored.row_bytes / stored.rows,
            rows_per_append=stored.rows / stored.requests,
        )

    def valkey(self) -> Peer:
        """Measure the function with state in Valkey or Redis, which runs on the other core."""
        with self._world.function(state=self._world.valkey(), first=self._first_request) as server:
            return self._warm(server)

    def bqemulator(self) -> Peer:
        """Measure the function with rows to bqemulator, which runs on the other core."""
        with self._world.function(write=self._world.bqemulator(), first=self._first_request) as server:
            run = _Run(self._world, server, self._prepared, after=1)
            return Peer(run.closed(round(1_000 * self._seconds), CONNECTIONS[0]), CONNECTIONS[0])

    def tutorial(self, trained: Trained) -> Peer:
        """Measure the tutorial function."""
        return self._peer(peers.tutorial(self._world, trained))

    def mlflow(self, trained: Trained) -> Peer:
        """Measure `mlflow models serve`."""
        return self._peer(peers.mlflow_serve(self._world, trained))

    def _cold_start(self) -> float:
        with self._world.function(first=self._first_request) as server:
            return server.first_answer_s

    def _warm(self, server: Server) -> Peer:
        run = _Run(self._world, server, self._prepared, after=1)
        run.closed(_WARM_UP // 2, CONNECTIONS[0])
        return self._closed(run)[0]

    def _closed(self, run: _Run) -> tuple[Peer, list[float]]:
        """Find the best number of connections, then the best of several rounds with it."""
        each = self._seconds / 2
        tried = {n: run.closed(round(_GUESS * each), n) for n in CONNECTIONS}
        connections, best = max(tried.items(), key=lambda item: item[1].per_second)
        rounds = [run.closed(round(best.per_second * each), connections) for _ in range(_ROUNDS)]
        best = max([best, *rounds], key=lambda load: load.per_second)
        return Peer(best, connections), [load.per_second for load in rounds]

    def _peer(self, running: AbstractContextManager[tuple[Server, Path]]) -> Peer:
        count = round(_PEER_GUESS * self._seconds / 2)
        with running as (server, requests):
            rounds = [
                Peer(self._world.load(server, requests, 0, min(count, peers.VECTORS), connections=n), n)
                for n in _PEER_CONNECTIONS * 2
            ]
        return max(rounds, key=lambda peer: peer.best.per_second)


class _Run:
    """One function's way through the prepared transactions: each is sent once."""

    def __init__(self, world: World, server: Server, prepared: Prepared, after: int) -> None:
        self._world, self._server, self._prepared = world, server, prepared
        self._next = after
        self.sent = 0

    @property
    def left(self) -> int:
        """Return how many have not been sent."""
        return self._prepared.transactions - self._next

    def closed(self, count: int, connections: int) -> Load:
        """Send the next ones in closed loop."""
        return self._load(count, connections=connections)

    def open(self, count: int, rate: float) -> Load:
        """Send the next ones by a schedule."""
        return self._load(count, connections=CONNECTIONS[-1], rate=rate)

    def _load(self, count: int, **options: float) -> Load:
        count = min(count, self.left)
        load = self._world.load(self._server, self._prepared.path, self._next, count, **options)
        self._next += count
        self.sent += count
        say(f"  {load.per_second:8,.0f}/s  p50 {load.p50_ms:.1f} ms  p99 {load.p99_ms:.1f} ms  {_text(options)}")
        return load


def say(text: str) -> None:
    """Tell how it goes, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _text(options: dict[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in options.items())


def _gained(before: Counts, after: Counts) -> Counts:
    return Counts(*(getattr(after, name) - getattr(before, name) for name in Counts.__struct_fields__))
