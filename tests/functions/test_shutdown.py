"""SIGTERM from Cloud Run: deliveries in flight finish within the grace period, and acknowledged ones have rows."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from typing import Any

import httpx

from infra.local.cloud import LocalCloud
from tests.builders import encoded, push_body, transaction
from tests.collector import Collector
from tests.functions.instance import Start
from tests.functions.test_score import scores
from tests.waiting import PATIENCE, until

GRACE_SECONDS = 10.0
SENDERS = 24
GONE = 0  # the connection was refused, or closed before an answer


class Load:
    """Senders that deliver new transactions, one after another, until `finish` or a refused connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._sent: Counter[int] = Counter()  # by thread, as each counts its own
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
                    status = client.post(
                        self._address, content=push_body(encoded(message)), extensions={"trace": self._trace}
                    ).status_code
                except httpx.TransportError:
                    status = GONE
                self.answers.append((message, status))

    def _trace(self, event: str, _info: dict[str, Any]) -> None:
        self._sent[threading.get_ident()] += event == "http11.send_request_body.complete"

    def all_wait(self) -> bool:
        """Return whether every sender has sent a delivery; where none is answered, each waits for its first."""
        return len(+self._sent) == SENDERS

    def finish(self) -> Counter[int]:
        """Stop sending, and return how often each status was answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return Counter(status for _, status in self.answers)


def test_under_load_every_acknowledged_delivery_has_its_row(
    cloud: LocalCloud, started: Start, collector: Collector
) -> None:
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
    assert collector.numbers("pix.append.rows")["score_events"] >= statuses[204]
    assert collector.numbers("pix.scored").keys() <= {"full", "rules_only"}
    assert collector.points("pix.stage.duration")["total"].count == statuses[204]
    assert collector.points("pix.stage.duration").keys() == {
        "decode",
        "state",
        "features",
        "model",
        "conclude",
        "append",
        "announce",
        "total",
    }


def test_unfinished_deliveries_are_answered_503(cloud: LocalCloud, started: Start, collector: Collector) -> None:
    """BigQuery does not answer: 503 within the grace period, so that Pub/Sub redelivers at once."""
    instance = started(PIX_DRAIN_SECONDS="1.0", PIX_APPEND_TIMEOUT_SECONDS="30")
    group = cloud.bigquery_server.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        load = Load(instance.address)
        until(load.all_wait)
        code, seconds = instance.terminate()
        statuses = load.finish()
    finally:
        os.killpg(group, signal.SIGCONT)
    assert (code, seconds < GRACE_SECONDS) == (0, True)
    assert statuses[503] >= SENDERS
    assert set(statuses) <= {503, GONE}
    assert SENDERS <= collector.numbers("pix.messages")["unavailable"] <= statuses[503]


def test_an_idle_function_stops_at_once(started: Start, collector: Collector) -> None:
    instance = started()
    code, seconds = instance.terminate()
    assert (code, seconds < GRACE_SECONDS / 2) == (0, True)
    assert len(collector.requests) == 1
