"""SIGTERM, as Cloud Run sends it: what is in flight is finished within the grace, and what was answered holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.cloud import ROOT, LocalCloud
from infra.local.ports import claim_port
from tests.builders import encoded, push_body, transaction
from tests.collector import Collector, collecting
from tests.functions.test_score import scores
from tests.functions.world import PATIENCE, until

GRACE_SECONDS = 10.0
SENDERS = 24
GONE = 0  # nobody listened, or the connection was closed before an answer


class Instance:
    """A score function of its own, as functions-framework runs it."""

    def __init__(self, cloud: LocalCloud, log: Path, **settings: str) -> None:
        port = claim_port(0, "--port")
        self.address = f"http://127.0.0.1:{port}/"
        self.log = log
        command = [
            str(Path(sys.executable).with_name("functions-framework")),
            *("--source", str(ROOT / "functions/score/main.py")),
            *("--target", "score", "--host", "127.0.0.1", "--port", str(port)),
        ]
        environment = {**os.environ, **cloud.environment, "PYTHONPATH": str(ROOT), **settings}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, env=environment, stderr=file, stdout=file, start_new_session=True
            )
        until(self._ready)

    def _ready(self) -> bool:
        try:
            return httpx.get(self.address, timeout=PATIENCE).status_code == 200
        except httpx.TransportError:
            return False

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM, and return exit code and seconds."""
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began

    def logged(self, message: str) -> bool:
        return f'"message":"{message}"' in self.log.read_text()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def started(cloud: LocalCloud, collector: Collector, tmp_path: Path) -> Iterator[Any]:
    """Start instances; those still there at the end are killed."""
    instances = []

    def start(**settings: str) -> Instance:
        own = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **settings}
        instances.append(Instance(cloud, tmp_path / f"{len(instances)}.log", **own))
        return instances[-1]

    yield start
    for instance in instances:
        if instance.process.poll() is None:
            os.killpg(instance.process.pid, signal.SIGKILL)
            instance.process.wait()


class Load:
    """Senders that deliver new transactions, one after the other, until they are told to stop or nobody listens."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self.answers: list[tuple[dict[str, Any], int]] = []
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            status = 204
            while status and not self._stop.is_set():
                message = transaction()
                try:
                    status = client.post(self._address, content=push_body(encoded(message))).status_code
                except httpx.TransportError:
                    status = GONE
                self.answers.append((message, status))

    def finish(self) -> Counter[int]:
        """Stop sending, and return how often each status was answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return Counter(status for _, status in self.answers)


def test_under_load_every_delivery_is_answered_and_every_ack_has_its_row(cloud, started, collector):
    instance = started()
    load = Load(instance.address)
    until(lambda: len(load.answers) > 300)
    code, seconds = instance.terminate()
    statuses = load.finish()
    assert (code, seconds < GRACE_SECONDS) == (0, True)
    assert set(statuses) <= {204, 503, GONE}
    assert statuses[204] > 300
    acknowledged = [message for message, status in load.answers if status == 204]
    assert len(scores(cloud, acknowledged)) == len(acknowledged)
    assert instance.logged("drained")
    assert collector.numbers("pix.messages")["stored"] == statuses[204]


def test_what_is_not_through_in_time_is_given_back(cloud, started, collector):
    """BigQuery does not answer: 503 before the grace is over, so that Pub/Sub knows at once."""
    instance = started(PIX_DRAIN_SECONDS="1.0", PIX_APPEND_TIMEOUT_SECONDS="30")
    group = cloud.bigquery_server.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        load = Load(instance.address)
        time.sleep(1.0)
        code, seconds = instance.terminate()
        statuses = load.finish()
    finally:
        os.killpg(group, signal.SIGCONT)
    assert (code, seconds < GRACE_SECONDS) == (0, True)
    assert statuses[503] >= SENDERS
    assert set(statuses) <= {503, GONE}
    assert SENDERS <= collector.numbers("pix.messages")["unavailable"] <= statuses[503]


def test_an_idle_function_stops_at_once(started, collector):
    instance = started()
    code, seconds = instance.terminate()
    assert (code, seconds < GRACE_SECONDS / 2) == (0, True)
    assert len(collector.requests) == 1
