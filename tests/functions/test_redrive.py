"""From an outage to dead letters, and back to one row each after its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf.duration_pb2 import Duration

from infra.local.cloud import LocalCloud
from infra.local.loopback import free_port
from jobs import redrive
from shared.contract.topics import TRANSACTIONS
from shared.operations.redrive import Redrive
from tests.builders import encoded, transaction
from tests.functions.test_score import scores
from tests.functions.world import led_to
from tests.waiting import PATIENCE, until


@contextmanager
def pushing_nowhere(cloud: LocalCloud) -> Iterator[None]:
    """Let deliveries fail, and messages die soon."""
    with SubscriberClient() as client:
        path = client.subscription_path(cloud.settings.project, "score")
        before = client.get_subscription(subscription=path)
        policy = {"dead_letter_topic": before.dead_letter_policy.dead_letter_topic, "max_delivery_attempts": 5}
        quick = {"minimum_backoff": Duration(nanos=50_000_000), "maximum_backoff": Duration(nanos=100_000_000)}
        changed: dict[str, Any] = {"name": path, "topic": before.topic, "dead_letter_policy": policy}
        changed |= {"retry_policy": quick, "push_config": {"push_endpoint": f"http://127.0.0.1:{free_port()}/"}}
        paths = ["dead_letter_policy", "retry_policy", "push_config"]
        client.update_subscription(request={"subscription": changed, "update_mask": {"paths": paths}})
        try:
            yield
        finally:
            client.update_subscription(request={"subscription": before, "update_mask": {"paths": paths}})


def test_dead_letters_of_an_outage_are_scored_once(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [transaction() for _ in range(2)]
    monkeypatch.setattr(redrive, "Redrive", partial(Redrive, quiet_seconds=1.5))

    def run(*arguments: str) -> dict[str, Any]:
        assert redrive.main(["transactions", *arguments]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return found

    with led_to(cloud), pushing_nowhere(cloud):
        publisher = PublisherClient()
        topic = publisher.topic_path(cloud.settings.project, TRANSACTIONS)
        for message in messages:
            publisher.publish(topic, encoded(message)).result(PATIENCE)
        publisher.stop()
        until(lambda: run("--dry-run")["redriven"] == len(messages))
    assert scores(cloud, messages) == []
    with led_to(cloud):
        assert run()["redriven"] == len(messages)
        until(lambda: len(scores(cloud, messages)) == len(messages))
        assert run()["redriven"] == 0
