"""A subscription that is pulled from, on both Pub/Subs: a message comes until it is acknowledged."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from shared.adapters.pubsub.pull import Outstanding, PubsubSource
from shared.adapters.pubsub.wire import SubscriberService
from shared.errors import Misconfigured, Unavailable
from shared.ports.messages import Received
from tests.contract.pubsub_world import PROJECT, QUICK_RETRY, World, world
from tests.waiting import PATIENCE

__all__ = ["world"]

Found = TypeVar("Found")


def pulling(
    subscription: str, scenario: Callable[[PubsubSource], Coroutine[Any, Any, Found]], most: int = 100
) -> Found:
    """Run a scenario with a source, which is closed at its end."""

    async def whole() -> Found:
        service = SubscriberService.connect(os.environ["PUBSUB_EMULATOR_HOST"])
        source = PubsubSource(service, subscription, Outstanding(messages=most))
        try:
            return await asyncio.wait_for(scenario(source), PATIENCE)
        finally:
            await source.stop()
            await source.close()

    return asyncio.run(whole())


async def taken(source: PubsubSource, count: int) -> list[Received]:
    """Receive `count` messages."""
    found: list[Received] = []
    while len(found) < count:
        found += await source.receive(count - len(found), count, 1.0)
    return found


def data(received: list[Received]) -> list[bytes]:
    return sorted(each.message.data for each in received)


def published(world: World, count: int) -> tuple[str, list[bytes]]:
    """Return a subscription with this many messages, and their data."""
    topic = world.topic()
    subscription = world.subscription(topic, retry_policy=QUICK_RETRY)
    messages = sorted(str(n).encode() for n in range(count))
    for each in messages:
        world.publish(topic, each, colour="blue")
    return subscription, messages


def test_a_message_comes_once_if_it_is_acknowledged(world: World) -> None:
    subscription, messages = published(world, 20)

    async def scenario(source: PubsubSource) -> list[Received]:
        received = await taken(source, 20)
        await source.settle(received, [None] * 20)
        return received

    received = pulling(subscription, scenario)
    assert data(received) == messages
    assert len({each.message.message_id for each in received}) == 20
    now = dt.datetime.now(dt.UTC)
    assert all(abs(now - each.message.publish_time) < dt.timedelta(minutes=10) for each in received)
    assert world.ready(subscription) == []


def test_a_message_comes_again_if_it_is_given_back(world: World) -> None:
    subscription, messages = published(world, 4)

    async def scenario(source: PubsubSource) -> list[Received]:
        received = sorted(await taken(source, 4), key=lambda each: each.message.data)
        await source.settle(received, [None, Unavailable("away"), None, Unavailable("away")])
        again = await taken(source, 2)
        await source.settle(again, [None, None])
        return again

    assert data(pulling(subscription, scenario)) == messages[1::2]
    assert world.ready(subscription) == []


def test_messages_that_nobody_took_are_given_back_at_the_end(world: World) -> None:
    subscription, messages = published(world, 10)

    async def scenario(source: PubsubSource) -> list[Received]:
        first = await taken(source, 1)
        while source.waiting < 9:
            await asyncio.sleep(0.01)
        await source.stop()
        await source.settle(first, [None])
        assert await source.receive(1, 1, 0.0) == []
        return first

    (first,) = pulling(subscription, scenario)
    left = world.pull(subscription, 9)
    assert sorted(each.message.data for each in left) == [each for each in messages if each != first.message.data]


def test_another_subscriber_gets_the_rest(world: World) -> None:
    if world.kind == "google":
        pytest.skip("Google's emulator ignores the limits of a stream")
    subscription, messages = published(world, 10)

    async def scenario(source: PubsubSource) -> list[Received]:
        received = await taken(source, 4)
        others = await asyncio.to_thread(world.pull, subscription, 6)
        await asyncio.to_thread(world.acknowledge, subscription, *others)
        assert sorted([each.message.data for each in others] + data(received)) == messages
        await source.settle(received, [None] * 4)
        return received

    pulling(subscription, scenario, most=4)
    assert world.ready(subscription) == []


@pytest.mark.usefixtures("world")
def test_a_subscription_that_is_not_there_is_named() -> None:
    missing = f"projects/{PROJECT}/subscriptions/missing"
    with pytest.raises(Misconfigured, match=missing):
        pulling(missing, lambda source: source.receive(1, 1, 0.0))
