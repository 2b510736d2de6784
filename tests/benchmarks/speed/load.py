"""A load generator: prepared HTTP/1.1 requests over keep-alive connections, closed loop or open loop.

It runs in its own process, so that it can be pinned to a core. It prints {"ready": true} once it is connected, and a
line of JSON at its end:

    python -m tests.benchmarks.speed.load --port 8080 --requests f.bin --first 0 --count 50000 --connections 256
    python -m tests.benchmarks.speed.load --port 8080 --requests f.bin --first 0 --count 50000 --rate 5000

Closed loop: each connection sends its next request when the last is answered. Open loop: requests are due by a fixed
Poisson schedule, independent of the server, and latency counts from the time due. So a stall is charged to every
request that it delays (coordinated omission: Tene, How NOT to Measure Latency, 2013). SIGTERM ends an open
loop early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import mmap
import re
import signal
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvloop
from msgspec import Struct
from numpy.typing import NDArray

ACCEPTED = (200, 204)
TICK_SECONDS = 0.001  # the finest timer of the event loop
PATIENCE_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_HEADERS = (
    "POST / HTTP/1.1\r\nHost: score.run.app\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    "User-Agent: APIs-Google; (+https://developers.google.com/webmasters/APIs-Google)\r\nContent-Length: {}\r\n\r\n"
)


class Load(Struct):
    """Figures of a run; latencies are in milliseconds."""

    answered: int
    seconds: float
    per_second: float
    statuses: dict[int, int]
    p50_ms: float
    p99_ms: float
    highest_ms: float
    in_time: int = 0
    """Requests that were accepted within the limit, if there is one."""


def http_request(body: bytes, path: str = "/", header: str = "") -> bytes:
    """Return a push request in the form of Pub/Sub: https://cloud.google.com/pubsub/docs/push#receive_push."""
    head = _HEADERS.format(len(body)).replace("POST /", f"POST {path}", 1)
    return (head[:-2] + (f"{header}\r\n" if header else "") + "\r\n").encode() + body


class Requests:
    """Prepared requests in a file, by index."""

    def __init__(self, path: Path) -> None:
        self._ends = np.load(path.with_suffix(".npy")).tolist()
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> bytes:
        return self._bytes[self._ends[index - 1] if index else 0 : self._ends[index]]

    @classmethod
    def write(cls, path: Path, requests: Iterable[bytes]) -> None:
        """Write requests in wire format."""
        ends, end = [], 0
        with path.open("wb") as file:
            for request in requests:
                file.write(request)
                end += len(request)
                ends.append(end)
        np.save(path.with_suffix(".npy"), np.array(ends, dtype=np.int64))


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight; calls `answered` with the status."""

    def __init__(self, answered: Callable[[Connection, int], None]) -> None:
        self._answered = answered
        self._transport: Any = None
        self._received = b""
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, since: float) -> None:
        """Send a request whose latency counts from `since`."""
        self.since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if _complete(self._received):
            status, self._received = int(self._received[9:12]), b""
            self._answered(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or self._received:
            print(f"connection lost: {exc!r}", file=sys.stderr)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class Generator:
    """Sends the requests from `first` to `first + count` and records the latency of each."""

    def __init__(self, requests: Requests, first: int, count: int, in_time_ms: float = 0.0) -> None:
        self._limit, self._in_time = in_time_ms / 1e3, 0
        self._requests, self._next, self._end = requests, first, first + count
        self._count = count
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._done = asyncio.Event()
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._open = False

    async def connect(self, port: int, connections: int) -> None:
        """Open all connections."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            transport, protocol = await loop.create_connection(lambda: Connection(self._answered), "127.0.0.1", port)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._idle.append(protocol)

    async def closed(self) -> Load:
        """Keep every connection busy."""
        started = time.perf_counter()
        while self._idle and self._next < self._end:
            self._send(self._idle.popleft(), time.perf_counter())
        return await self._load(started)

    async def open(self, rate: float, seed: int) -> Load:
        """Send by a Poisson schedule of `rate` a second; a request without an idle connection waits for one."""
        self._open = True
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        gaps = np.random.default_rng(seed).exponential(1 / rate, self._count)
        started = time.perf_counter() + 0.05
        self._schedule: list[float] = (started + np.cumsum(gaps)).tolist()
        self._scheduled = 0
        self._tick()
        return await self._load(started)

    def _tick(self) -> None:
        now, schedule = time.perf_counter(), self._schedule
        while self._scheduled < self._count and schedule[self._scheduled] <= now:
            due = schedule[self._scheduled]
            self._scheduled += 1
            if self._idle:
                self._send(self._idle.popleft(), due)
            else:
                self._due.append(due)
        if self._scheduled < self._count:
            asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _stop(self) -> None:
        self._count = self._scheduled
        self._look()

    def _send(self, connection: Connection, since: float) -> None:
        index, self._next = self._next, self._next + 1
        connection.send(self._requests[index], since)

    def _answered(self, connection: Connection, status: int) -> None:
        now = time.perf_counter()
        self._latencies.append(now - connection.since)
        self._in_time += status in ACCEPTED and now - connection.since <= self._limit
        self._statuses[status] += 1
        if self._open:
            if self._due:
                self._send(connection, self._due.popleft())
            else:
                self._idle.append(connection)
        elif self._next < self._end:
            self._send(connection, now)
        self._look()

    def _look(self) -> None:
        if len(self._latencies) == self._count:
            self._done.set()

    async def _load(self, started: float) -> Load:
        done = asyncio.create_task(self._done.wait())
        while not done.done():
            before = len(self._latencies)
            await asyncio.wait([done], timeout=PATIENCE_SECONDS)
            if not done.done() and len(self._latencies) == before:
                raise SystemExit(f"{self._count - before} of {self._count} requests were never answered")
        seconds = time.perf_counter() - started
        return load(np.array(self._latencies), seconds, self._statuses, self._in_time)


def load(latencies: NDArray[np.float64], seconds: float, statuses: Counter[int], in_time: int = 0) -> Load:
    """Compute the figures of a run from its latencies in seconds."""
    if not len(latencies):
        return Load(0, seconds, 0.0, {}, 0.0, 0.0, 0.0)
    p50, p99, highest = (np.quantile(latencies, (0.5, 0.99, 1.0)) * 1000).tolist()
    return Load(len(latencies), seconds, len(latencies) / seconds, dict(statuses), p50, p99, highest, in_time)


def _complete(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = _LENGTH.search(answer, 0, head)
    return length is None or len(answer) >= head + 4 + int(length[1])


async def _run(options: argparse.Namespace) -> Load:
    generator = Generator(Requests(options.requests), options.first, options.count, options.in_time)
    await generator.connect(options.port, options.connections)
    print(json.dumps({"ready": True}), flush=True)
    return await (generator.open(options.rate, options.seed) if options.rate else generator.closed())


def main() -> None:
    """Run the load and print its figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed.load", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--port", type=int, required=True)
    add("--requests", type=Path, required=True, help="file of prepared requests")
    add("--first", type=int, default=0, help="number of the first request (default: %(default)s)")
    add("--count", type=int, required=True)
    add("--connections", type=int, default=256)
    add("--rate", type=float, help="requests per second, open loop; closed loop without")
    add("--in-time", type=float, default=0.0, metavar="MS", help="count the requests accepted within this time")
    add("--seed", type=int, default=1, help="seed of the schedule (default: %(default)s)")
    sys.stdout.write(msgspec.json.encode(uvloop.run(_run(parser.parse_args()))).decode() + "\n")


if __name__ == "__main__":
    main()
