"""From an outage to dead letters, and back to one row each after its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import pytest
from google.cloud import bigquery
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf.duration_pb2 import Duration

from infra.local.cloud import LocalCloud
from infra.local.loopback import free_port
from jobs import redrive
from shared.contract.tables import table
from shared.contract.topics import TRANSACTIONS
from shared.operations.redrive import Redrive
from tests.builders import encoded, push_body, transaction
from tests.functions.instance import Start
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, led_to, url
from tests.waiting import PATIENCE, until


class Run(Protocol):
    """Run `jobs.redrive transactions`, and return the number of dead letters."""

    def __call__(self, *arguments: str) -> int: ...


@contextmanager
def dying_soon(cloud: LocalCloud, address: str) -> Iterator[None]:
    """Push to an address, and let messages die soon."""
    with SubscriberClient() as client:
        path = client.subscription_path(cloud.settings.project, "score")
        before = client.get_subscription(subscription=path)
        policy = {"dead_letter_topic": before.dead_letter_policy.dead_letter_topic, "max_delivery_attempts": 5}
        quick = {"minimum_backoff": Duration(nanos=50_000_000), "maximum_backoff": Duration(nanos=100_000_000)}
        changed: dict[str, Any] = {"name": path, "topic": before.topic, "dead_letter_policy": policy}
        changed |= {"retry_policy": quick, "push_config": {"push_endpoint": address}}
        paths = ["dead_letter_policy", "retry_policy", "push_config"]
        client.update_subscription(request={"subscription": changed, "update_mask": {"paths": paths}})
        try:
            yield
        finally:
            client.update_subscription(request={"subscription": before, "update_mask": {"paths": paths}})


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(redrive, "Redrive", partial(Redrive, quiet_seconds=1.5))

    def run(*arguments: str) -> int:
        assert redrive.main(["transactions", *arguments]) == 0
        return int(json.loads(capsys.readouterr().out.splitlines()[-1])["redriven"])

    return run


def publish(cloud: LocalCloud, *data: bytes) -> None:
    publisher = PublisherClient()
    topic = publisher.topic_path(cloud.settings.project, TRANSACTIONS)
    for each in data:
        publisher.publish(topic, each).result(PATIENCE)
    publisher.stop()


def test_dead_letters_of_an_outage_are_scored_once(cloud: LocalCloud, run: Run) -> None:
    messages = [transaction() for _ in range(2)]
    with led_to(cloud), dying_soon(cloud, f"http://127.0.0.1:{free_port()}/"):
        publish(cloud, *map(encoded, messages))
        until(lambda: run("--dry-run") == len(messages))
    assert scores(cloud, messages) == []
    with led_to(cloud):
        assert run() == len(messages)
        until(lambda: len(scores(cloud, messages)) == len(messages))
        assert run() == 0


def test_a_table_that_refuses_every_row_loses_none(cloud: LocalCloud, started: Start, run: Run) -> None:
    """Each message is a dead letter, none is quarantined, and all are scored once the table is mended."""
    client, messages = cloud.bigquery(), [transaction() for _ in range(5)]
    changed = [
        bigquery.SchemaField(column.name, "INT64" if column.name == "decision" else column.type, column.mode)
        for column in table("score_events").schema
    ]
    client.create_dataset("changed")
    client.create_table(bigquery.Table(f"{cloud.settings.project}.changed.score_events", changed))
    quarantined = ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine")[0].n
    instance = started(PIX_DATASET="changed")
    assert set(deliver(instance.address, [push_body(encoded(message)) for message in messages])) == {500}
    assert instance.logged("rows refused")
    with led_to(cloud):
        with dying_soon(cloud, instance.address):
            publish(cloud, *map(encoded, messages))
            until(lambda: run("--dry-run") == len(messages))
        assert run() == len(messages)
        until(lambda: len(scores(cloud, messages)) == len(messages))
    assert ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine")[0].n == quarantined


def test_a_message_over_the_limit_of_a_request_is_a_dead_letter(cloud: LocalCloud, run: Run) -> None:
    """It comes last here: published again, it would be on its way to the dead letters during another test."""
    with led_to(cloud), dying_soon(cloud, url(cloud, "score")):
        publish(cloud, encoded(transaction()).ljust(200_000))
        until(lambda: run("--dry-run") == 1)
