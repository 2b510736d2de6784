"""The score function fed by push and by pull, in turns of seconds on the same core."""

from __future__ import annotations

import json
import statistics
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from infra.capacity.figures import Prices
from infra.local.loopback import LOOPBACK, free_port
from infra.local.processes import ChildProcess
from tests.benchmarks.speed.comparison import Pace
from tests.benchmarks.speed.course import CONNECTIONS, Run, progress, tuned
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.load import Requests
from tests.benchmarks.speed.prices import MILLION, Use, worker_cost
from tests.benchmarks.speed.process import SERVER_CORE, cpu_seconds, pinned, resident_mb
from tests.benchmarks.speed.testbed import OURS, NotAnswered, Server, Testbed

TURNS = 6
MEMORY_GIB = 1.0
"""Memory of a worker: `score_memory` in infra/terraform."""
_GUESS = 5_000
_WARM_UP = 20_000
_PATIENCE_SECONDS = 300.0


class Fed(Struct):
    """Push and pull with state in one kind of store: paces of the turns, and the memory of the worker in MB."""

    push: list[Pace]
    pull: list[Pace]
    worker_mb: float

    @property
    def ratio(self) -> float:
        """Return the median ratio of pull to push among neighbouring turns, by processor time."""
        turns = zip(self.push, self.pull, strict=True)
        return statistics.median(push.cpu_s_per_million / pull.cpu_s_per_million for push, pull in turns)


class PullRun:
    """A worker's run over the prepared transactions; each is sent once, and the first is already acknowledged."""

    def __init__(self, worker: ChildProcess, port: int, transactions: int) -> None:
        self._worker, self._port, self._transactions = worker, port, transactions
        self.sent = 0

    @property
    def pid(self) -> int:
        """Return the process id of the worker."""
        return self._worker.pid

    def send(self, count: int) -> float:
        """Stream the next transactions; return those acknowledged in a second. Raises NotAnswered."""
        count = min(count, self._transactions - self.sent)
        if not count:
            raise NotAnswered(f"all {self.sent:,} transactions are sent before the end; prepare more")
        url = f"http://{LOOPBACK}:{self._port}/send?first={self.sent}&count={count}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, method="POST"), timeout=_PATIENCE_SECONDS
            ) as done:
                answer = json.load(done)
        except OSError as error:
            raise NotAnswered(f"{error}: {self._worker.log_tail()}") from None
        if answer["nacked"]:
            raise NotAnswered(f"{answer['nacked']} nacks: {self._worker.log_tail()}")
        self.sent += count
        progress(f"  {count / answer['seconds']:8,.0f}/s  pulled")
        return float(count / answer["seconds"])

    def scored(self) -> dict[str, int]:
        """Count the scored transactions in the log, by degradation step; complete once the worker has stopped."""
        return Server(self._port, self._worker, 0.0).scored()


@contextmanager
def worker(testbed: Testbed, prepared: Prepared, **settings: str | int) -> Iterator[PullRun]:
    """Run the worker, with a Pub/Sub on the other core. Raises NotAnswered unless it always had history and model."""
    grpc_port, rest_port = free_port(), free_port()
    stub = ["--requests", str(prepared.path), "--grpc-port", str(grpc_port), "--rest-port", str(rest_port)]
    testbed.child(f"stub-{grpc_port}", ["-m", "tests.benchmarks.pull.stub", *stub])
    folder = testbed.folder(OURS, "score")
    env = testbed.environment(settings) | {"PUBSUB_EMULATOR_HOST": f"{LOOPBACK}:{grpc_port}", "OMP_NUM_THREADS": "1"}
    argv = pinned(SERVER_CORE, [sys.executable, "pull.py"])
    log = testbed.home / f"worker-{grpc_port}.log"
    child = ChildProcess("worker", argv, log_path=log, env=env, cwd=folder)
    child.start()
    try:
        run = PullRun(child, rest_port, prepared.transactions)
        run.send(1)
        yield run
    finally:
        child.stop(grace=30)
    if (scored := run.scored()) != {"full": run.sent}:
        raise NotAnswered(f"worker: scored, by degradation step, {scored}, expected {run.sent} full")


def in_turns(testbed: Testbed, prepared: Prepared, seconds: float, in_valkey: bool) -> Fed:
    """Measure push and pull in turns, with state in memory or in a Valkey each. Raises NotAnswered."""
    with ExitStack() as stack:
        states = [testbed.valkey() if in_valkey else "memory://" for _ in range(2)]
        first = Requests(prepared.path)[0]
        server = stack.enter_context(testbed.function(first, {"state": states[0]}))
        pushed = Run(testbed, server, prepared, seconds)
        pulled = stack.enter_context(worker(testbed, prepared, state=states[1]))
        pushed.warm_up()
        pulled.send(_WARM_UP)
        connections, push_rate = tuned(pushed.closed, CONNECTIONS, _GUESS, seconds)
        pull_rate = pulled.send(round(_GUESS * seconds / 2))
        push: list[Pace] = []
        pull: list[Pace] = []
        for turn in range(TURNS):  # every second turn goes backwards, so that a drift favours nobody
            for kind in ("push", "pull") if turn % 2 else ("pull", "push"):
                if kind == "push":
                    push.append(_push(pushed, round(push_rate * seconds / 2), connections))
                else:
                    pull.append(_pull(pulled, round(pull_rate * seconds / 2)))
        return Fed(push, pull, resident_mb(pulled.pid))


def figures(fed: Fed, prepared: Prepared, row_bytes: float, prices: Prices) -> dict[str, float]:
    """Return throughputs, and the cost of a million Pix by pull on fully used workers, in USD at list prices.

    `push_tx_per_s` and `pull_tx_per_s` are of a vCPU that is fully used, by the processor time of function and worker
    alone: Valkey, Pub/Sub and load share the other core, and may be what limits `push_seen_per_s` and
    `pull_seen_per_s`, those of this machine.
    """
    push_cpu, pull_cpu = (_median(paces, "cpu_s_per_million") for paces in (fed.push, fed.pull))
    use = Use(pull_cpu, MEMORY_GIB, prepared.message_bytes, row_bytes)
    return {
        "push_tx_per_s": round(MILLION / push_cpu),
        "pull_tx_per_s": round(MILLION / pull_cpu),
        "pull_to_push": round(fed.ratio, 3),
        "push_seen_per_s": round(_median(fed.push, "per_second")),
        "pull_seen_per_s": round(_median(fed.pull, "per_second")),
        "push_cpu_s_per_million": round(push_cpu, 1),
        "pull_cpu_s_per_million": round(pull_cpu, 1),
        "worker_mb": round(fed.worker_mb),
        "usd_per_million_pull": round(worker_cost(use, prices).total, 3),
    }


def _median(paces: list[Pace], name: str) -> float:
    return float(statistics.median(getattr(pace, name) for pace in paces))


def _push(run: Run, count: int, connections: int) -> Pace:
    used = cpu_seconds(run.pid)
    load = run.closed(count, connections)
    return Pace(load.per_second, MILLION * (cpu_seconds(run.pid) - used) / load.answered)


def _pull(run: PullRun, count: int) -> Pace:
    used, sent = cpu_seconds(run.pid), run.sent
    rate = run.send(count)
    return Pace(rate, MILLION * (cpu_seconds(run.pid) - used) / (run.sent - sent))
