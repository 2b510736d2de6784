"""Questions to the decide function at a fixed rate, with its state in Valkey and rows to the stub."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from infra.capacity.plan import CONCURRENCY
from shared.contract.envelope import decode_envelope
from shared.serving.http.decide_api import DECISIONS
from shared.serving.http.problems import TIMEOUT_HEADER
from tests.benchmarks.speed.course import progress
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Requests, http_request
from tests.benchmarks.speed.process import cpu_seconds
from tests.benchmarks.speed.testbed import NotAnswered, Testbed

RATE = 1_000
"""Questions a second."""
DEADLINE_MS = 30
_WARM_UP_SECONDS = 3


class Asked(Struct):
    """Latencies of the answers in milliseconds, and the share of decisions within DEADLINE_MS of the time due."""

    p50_ms: float
    p99_ms: float
    in_time: float
    cpu_us: float
    """Processor time of a question, in microseconds, which a busy machine changes little."""


def ask(testbed: Testbed, prepared: Prepared, seconds: float) -> Asked:
    """Ask in open loop for `seconds`, after a warm-up. Raises NotAnswered unless each Pix has its row."""
    warm, count = RATE * _WARM_UP_SECONDS, round(RATE * seconds)
    path = _questions(testbed.home / "questions.bin", prepared, 1 + warm + count)
    settings: dict[str, str | int] = {
        "state": testbed.valkey(),
        "bigquery_emulator_host": testbed.rest,
    }
    before = testbed.counts().rows
    with testbed.function(Requests(path)[0], settings, name="decide") as server:
        testbed.ask(server, path, 1, warm, connections=CONCURRENCY, rate=RATE)
        used = cpu_seconds(server.child.pid)
        load = testbed.ask(server, path, 1 + warm, count, connections=CONCURRENCY, rate=RATE, in_time=DEADLINE_MS)
        used = cpu_seconds(server.child.pid) - used
    progress(f"  {load.per_second:8,.0f}/s  p50 {load.p50_ms:.1f} ms  p99 {load.p99_ms:.1f} ms  {load.statuses}")
    if (stored := testbed.counts().rows - before) < 1 + warm + count:
        raise NotAnswered(f"{1 + warm + count - stored} of the Pix that were asked about have no row")
    return Asked(load.p50_ms, load.p99_ms, load.in_time / load.answered, 1e6 * used / load.answered)


def _questions(path: Path, prepared: Prepared, count: int) -> Path:
    """Write the first transactions as questions with a deadline; the first one, of the cold start, waits longer."""
    pushes = Requests(prepared.path)
    if count > len(pushes):
        raise NotAnswered(f"{count:,} questions need as many transactions; prepare more")

    def question(number: int) -> bytes:
        data = decode_envelope(pushes[number].partition(b"\r\n\r\n")[2]).data
        return http_request(data, DECISIONS, f"{TIMEOUT_HEADER}: {DEADLINE_MS if number else 60_000}")

    Requests.write(path, map(question, range(count)))
    return path
