"""Workers of the local cloud that pull: nothing is lost, nothing counts twice, whatever stops in between."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from infra.deploy.smoke import outcome
from infra.local.cloud import LocalCloud
from infra.local.pubsub.google import find_emulator
from infra.local.pubsub.launch import PubSubKind
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from tests.builders import encoded, med_report, transaction
from tests.functions.test_outage import frozen
from tests.functions.world import ask
from tests.waiting import PATIENCE, until, until_equal


@pytest.fixture(scope="module", params=["embedded", "google"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    kind: PubSubKind = request.param
    if kind == "google" and find_emulator() is None:
        pytest.skip("Google's Pub/Sub emulator is not installed")
    home: Path = tmp_path_factory.mktemp(kind)
    with LocalCloud(home, pubsub=kind, state_call_seconds=30.0, append_timeout_seconds=30.0) as running:
        running.start_functions(pull=True)
        yield running


@contextmanager
def publishing(cloud: LocalCloud) -> Iterator[Any]:
    """Yield a function that publishes messages to a topic and waits until they are."""
    publisher = PublisherClient()

    def publish(topic: str, *messages: bytes) -> None:
        path = publisher.topic_path(cloud.settings.project, topic)
        sent = [publisher.publish(path, each) for each in messages]
        assert all(future.result(PATIENCE) for future in sent)

    yield publish
    publisher.stop()
    publisher.transport.close()


def skip_where_streams_die(cloud: LocalCloud) -> None:
    """Skip a test that ends a stream, on Google's emulator: it holds messages back until another client pulls."""
    if cloud.pubsub_kind == "google":
        pytest.skip("after the end of a stream, Google's emulator holds messages back")


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [message["end_to_end_id"] for message in messages]


def scored(cloud: LocalCloud, messages: list[dict[str, Any]]) -> int:
    """Return the number of rows that analysts see of these Pix."""
    (row,) = ask(cloud, "SELECT COUNT(*) AS n FROM pix.scores WHERE end_to_end_id IN UNNEST(@ids)", ids=ids(messages))
    return int(row.n)


def test_a_pix_its_outcome_and_its_report_have_rows(cloud: LocalCloud) -> None:
    pix = transaction()
    with publishing(cloud) as publish:
        publish(TRANSACTIONS, encoded(pix), b"{")
        until_equal(lambda: scored(cloud, [pix]), 1)
        publish(OUTCOMES, encoded(outcome(pix, dt.datetime.now(dt.UTC))))
        publish(FEEDBACK, encoded(med_report(pix["end_to_end_id"], report_id="pulled")))
    sql = "SELECT COUNT(DISTINCT end_to_end_id) AS n FROM pix.{} WHERE end_to_end_id = @id"
    for table in ("outcomes", "feedback"):
        until_equal(lambda table=table: ask(cloud, sql.format(table), id=pix["end_to_end_id"])[0].n, 1)  # type: ignore[misc]  # mypy cannot infer the type of a lambda's default
    (bad,) = until(lambda: ask(cloud, "SELECT DISTINCT reason, message_id FROM pix.quarantine"))
    assert (bad.reason, bool(bad.message_id)) == ("not_json", True)


def test_a_worker_killed_in_mid_stream_loses_nothing_and_counts_nothing_twice(cloud: LocalCloud) -> None:
    skip_where_streams_die(cloud)
    messages = [transaction(payer__account=f"77{i}", payee__account="7700") for i in range(200)]
    worker = cloud.functions["score"]
    before = worker.restarts
    with publishing(cloud) as publish:
        for part in range(2):
            publish(TRANSACTIONS, *map(encoded, messages[100 * part : 100 * (part + 1)]))
            worker.kill()
            until_equal(lambda: worker.restarts, before + part + 1)
    until_equal(lambda: scored(cloud, messages), len(messages))
    again = [transaction(payer__account=f"77{i}", payee__account="7700") for i in range(200)]
    with publishing(cloud) as publish:
        publish(TRANSACTIONS, *map(encoded, again))
    until_equal(lambda: scored(cloud, again), len(again))
    sql = (
        "SELECT DISTINCT ROUND(features.payer_sent_count_7d) AS n FROM pix.scores WHERE end_to_end_id IN UNNEST(@ids)"
    )
    assert [row.n for row in ask(cloud, sql, ids=ids(again))] == [1.0]


def test_while_bigquery_is_away_messages_come_again(cloud: LocalCloud) -> None:
    messages = [transaction() for _ in range(50)]
    log = cloud.functions["score"].log_path
    with publishing(cloud) as publish:
        with frozen(cloud):
            publish(TRANSACTIONS, *map(encoded, messages))
            until(lambda: '"message":"retry later"' in log.read_text())
        until_equal(lambda: scored(cloud, messages), len(messages))


def test_a_worker_drains_at_sigterm_and_its_messages_go_to_the_next(cloud: LocalCloud) -> None:
    skip_where_streams_die(cloud)
    worker = cloud.functions["score"]
    before, messages = worker.restarts, [transaction() for _ in range(100)]
    with publishing(cloud) as publish:
        publish(TRANSACTIONS, *map(encoded, messages))
        os.kill(worker.pid, signal.SIGTERM)
        until_equal(lambda: worker.restarts, before + 1)
    until_equal(lambda: scored(cloud, messages), len(messages))
    logged = [json.loads(line)["message"] for line in worker.log_path.read_text().splitlines() if line[:1] == "{"]
    assert "drained" in logged


def test_its_port_answers_probes(cloud: LocalCloud) -> None:
    def status() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{cloud.ports.score}/", timeout=PATIENCE) as answer:
                return int(answer.status)
        except (urllib.error.URLError, ConnectionError):
            return 0

    until_equal(status, 200)
