"""A subscriber that only acknowledges, to compare the cost of clients: ours, or the SubscriberClient of Google.

    .venv/bin/python -m tests.benchmarks.pull.client --kind google --count 50000

It streams prepared messages from the stub in this folder and prints the processor time of a million messages.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import uvloop
from google.cloud.pubsub_v1 import SubscriberClient

from infra.local.loopback import LOOPBACK, free_port
from infra.local.processes import ChildProcess, Supervisor
from shared.adapters.pubsub.pull import Outstanding, PubsubSource
from shared.adapters.pubsub.wire import SubscriberService
from tests.benchmarks.speed import events
from tests.benchmarks.speed.process import LOAD_CORE, SERVER_CORE, pinned

SUBSCRIPTION = "projects/pix-bench/subscriptions/score"
_LARGEST = 1_024


def ours(count: int) -> None:
    """Acknowledge this many messages by `PubsubSource`."""

    async def run() -> None:
        source = PubsubSource(
            SubscriberService.connect(os.environ["PUBSUB_EMULATOR_HOST"]), SUBSCRIPTION, Outstanding()
        )
        left = count
        while left:
            batch = await source.receive(_LARGEST, _LARGEST // 2, 0.015)
            await source.settle(batch, [None] * len(batch))
            left -= len(batch)
        await source.stop()
        await source.close()

    uvloop.run(run())


def google(count: int) -> None:
    """Acknowledge this many messages by the SubscriberClient, in its threads."""
    number, done = itertools.count(1), threading.Event()  # a count is safe for the threads of the client

    def acknowledge(message: Any) -> None:
        message.ack()
        if next(number) == count:
            done.set()

    with SubscriberClient() as client:
        pulling = client.subscribe(SUBSCRIPTION, acknowledge)
        done.wait()
        pulling.cancel()
        pulling.result()


KINDS = {"ours": ours, "google": google}


def measured(kind: str, count: int) -> dict[str, float]:
    """Return messages a second, and processor seconds for a million."""
    grpc_port, rest_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="bench-client-") as home, Supervisor() as supervisor:
        requests = Path(home) / "requests.bin"
        events.prepare(requests, count)
        ports = ["--grpc-port", str(grpc_port), "--rest-port", str(rest_port)]
        argv = [sys.executable, "-m", "tests.benchmarks.pull.stub", "--requests", str(requests), *ports]
        supervisor.start(ChildProcess("stub", pinned(LOAD_CORE, argv), log_path=Path(home) / "stub.log"))
        os.environ["PUBSUB_EMULATOR_HOST"] = f"{LOOPBACK}:{grpc_port}"
        os.sched_setaffinity(0, {SERVER_CORE})
        answers: list[dict[str, float]] = []
        url = f"http://{LOOPBACK}:{rest_port}/send?first=0&count={count}"

        def send() -> None:
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60) as answer:
                answers.append(json.load(answer))

        sending = threading.Thread(target=send)
        sending.start()
        used = time.process_time()
        KINDS[kind](count)
        used = time.process_time() - used
        sending.join()
    return {"messages_per_s": round(count / answers[0]["seconds"]), "cpu_s_per_million": round(1e6 * used / count, 1)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.pull.client", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--count", type=int, default=50_000, metavar="N")
    options = parser.parse_args()
    sys.stdout.write(json.dumps(measured(options.kind, options.count)) + "\n")


if __name__ == "__main__":
    main()
