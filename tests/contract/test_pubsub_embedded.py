"""Behaviour of the embedded Pub/Sub alone: clear refusals, bounded memory, push that spares a slow endpoint."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1

from infra.local.errors import PortInUse
from infra.local.pubsub import wire
from infra.local.pubsub.broker import Broker
from infra.local.pubsub.errors import ResourceExhausted
from infra.local.pubsub.launch import pubsub_server
from infra.local.pubsub.push import PushWindow
from tests.contract.local_servers import local_pubsub
from tests.contract.pubsub_world import World, push_target
from tests.waiting import PATIENCE


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with local_pubsub(tmp_path, "embedded") as server:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.endpoint)
        with pubsub_v1.SubscriberClient() as subscriber:
            publisher = pubsub_v1.PublisherClient()
            yield World(server.kind, publisher, subscriber)
            publisher.stop()
            publisher.transport.close()


@pytest.mark.parametrize(
    "configuration",
    [{"filter": 'attributes.a = "b"'}, {"enable_message_ordering": True}, {"enable_exactly_once_delivery": True}],
    ids=lambda configuration: next(iter(configuration)),
)
def test_an_unimplemented_feature_is_refused_by_name(world: World, configuration: dict[str, Any]) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match=next(iter(configuration))):
        world.subscription(world.topic(), **configuration)


def test_a_push_subscription_cannot_be_pulled_from(world: World) -> None:
    with push_target() as target:
        subscription = world.subscription(world.topic(), push_config={"push_endpoint": target.url})
        with pytest.raises(exceptions.FailedPrecondition):
            world.ready(subscription)


def test_a_push_longer_than_the_ack_deadline_is_repeated(world: World) -> None:
    topic = world.topic()
    done = threading.Event()
    with push_target(lambda _body: 204 if done.wait(PATIENCE) else 500) as target:
        world.subscription(topic, push_config={"push_endpoint": target.url}, ack_deadline_seconds=10)
        message_id = world.publish(topic, b"slow")
        assert [target.next()["message"]["messageId"] for _ in range(2)] == [message_id] * 2
        done.set()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with (
        local_pubsub(tmp_path / "first", "embedded") as server,
        pytest.raises(PortInUse, match=f"port {server.port} is in use.*--pubsub-port 0"),
    ):
        pubsub_server(tmp_path / "second", "embedded", server.port)


def test_stopping_is_clean_and_quiet(tmp_path: Path) -> None:
    with local_pubsub(tmp_path, "embedded") as server:
        server.child.stop()
        server.child.stop()
    assert server.child.returncode == 0
    assert len((tmp_path / "pubsub.log").read_text().splitlines()) == 1


def test_publishing_is_refused_while_the_backlogs_are_full() -> None:
    asyncio.run(_fill_and_drain())


async def _fill_and_drain() -> None:
    broker = Broker(memory_bytes=1000)
    broker.create_topic(wire.Topic(name="projects/bank/topics/pix"))
    broker.create_subscription(
        wire.Subscription(name="projects/bank/subscriptions/pix", topic="projects/bank/topics/pix")
    )
    message = wire.PubsubMessage(data=b"x" * 600)
    broker.publish("projects/bank/topics/pix", [message])
    with pytest.raises(ResourceExhausted):
        broker.publish("projects/bank/topics/pix", [message])
    backlog = broker.subscription("projects/bank/subscriptions/pix").backlog
    [delivery] = backlog.lease(10, seconds=10)
    backlog.acknowledge(delivery.ack_id)
    assert len(broker.publish("projects/bank/topics/pix", [message])) == 1
    broker.close()


def test_the_push_window_grows_with_successes_and_shrinks_with_failures() -> None:
    asyncio.run(_grow_and_shrink())


async def _grow_and_shrink() -> None:
    window = PushWindow()
    assert window.room() == PushWindow.FIRST
    for _ in range(1000):
        window.in_flight += 1
        window.succeeded()
    assert window.room() == PushWindow.LARGEST
    for _ in range(9):  # halved so often, the largest is one
        window.in_flight += 1
        window.failed()
    assert window.room() == PushWindow.SMALLEST
    window.in_flight += 1
    window.failed()
    assert window.room() == 0, "a failure at the smallest size pauses"
    await asyncio.wait_for(window.wait(), PATIENCE)
    assert window.room() == PushWindow.SMALLEST
