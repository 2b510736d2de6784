"""A topic of Kafka, on the mock cluster of its client: a partition goes on behind a message once it is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared.adapters.kafka.source import KafkaSource
from shared.contract.topics import DEAD
from shared.errors import Unavailable
from shared.ports.messages import Received
from shared.serving.insisting import Retries
from tests.contract.kafka_cluster import Cluster
from tests.waiting import PATIENCE

QUICK = Retries(attempts=3, shortest=0.05, longest=0.1)
AWAY = Unavailable("away")
Scenario = Callable[[KafkaSource], Coroutine[Any, Any, Any]]


def run(cluster: Cluster, topic: str, scenario: Scenario) -> Any:
    """Run a scenario with a source in a group for the topic, which is closed at its end."""

    async def whole() -> Any:
        source = KafkaSource(cluster.properties, topic, topic, QUICK)
        try:
            return await asyncio.wait_for(scenario(source), PATIENCE)
        finally:
            await source.stop()
            await source.close()

    return asyncio.run(whole())


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


async def taken(source: KafkaSource, count: int) -> list[Received]:
    found: list[Received] = []
    while len(found) < count:
        found += await source.receive(count - len(found), 1, 0.1)
    return found


async def all_settled(source: KafkaSource, count: int) -> list[bytes]:
    received = await taken(source, count)
    await source.settle(received, [None] * count)
    return data(received)


def data(received: list[Received]) -> list[bytes]:
    return [each.message.data for each in received]


def test_messages_come_in_order_and_once_if_they_are_settled(cluster: Cluster) -> None:
    topic = cluster.topic(b"a", b"b", b"c")
    assert run(cluster, topic, lambda source: all_settled(source, 3)) == [b"a", b"b", b"c"]
    cluster.publish(topic, b"d")
    assert run(cluster, topic, lambda source: all_settled(source, 1)) == [b"d"]


def test_a_message_that_is_not_settled_comes_to_the_next_consumer(cluster: Cluster) -> None:
    topic = cluster.topic(b"a", b"b", b"c")

    async def scenario(source: KafkaSource) -> None:
        received = await taken(source, 3)
        await source.settle(received[1:], [None, None])  # the first batch is still in work when the consumer ends

    run(cluster, topic, scenario)
    assert run(cluster, topic, lambda source: all_settled(source, 3)) == [b"a", b"b", b"c"]


def test_a_failed_message_comes_again_with_those_behind_it(cluster: Cluster) -> None:
    topic = cluster.topic(b"a", b"b", b"c")

    async def scenario(source: KafkaSource) -> list[bytes]:
        await source.settle(await taken(source, 3), [None, AWAY, None])
        return await all_settled(source, 2)

    assert run(cluster, topic, scenario) == [b"b", b"c"]
    cluster.publish(topic, b"d")
    assert run(cluster, topic, lambda source: all_settled(source, 1)) == [b"d"]


def test_a_failure_keeps_an_earlier_batch_that_is_still_in_work(cluster: Cluster) -> None:
    topic = cluster.topic(b"a", b"b")

    async def scenario(source: KafkaSource) -> list[bytes]:
        first, second = [await taken(source, 1) for _ in range(2)]
        await source.settle(second, [AWAY])
        await source.settle(first, [AWAY])  # too late: it comes again anyway
        return await all_settled(source, 2)

    assert run(cluster, topic, scenario) == [b"a", b"b"]


def test_other_partitions_flow_while_one_pauses(cluster: Cluster) -> None:
    topic = cluster.topic(b"a", partition=0)
    cluster.publish(topic, b"b", partition=1)

    async def scenario(source: KafkaSource) -> list[bytes]:
        received = sorted(await taken(source, 2), key=lambda each: each.message.data)
        await source.settle(received, [AWAY, None])
        await asyncio.to_thread(cluster.publish, topic, b"c", partition=1)
        return sorted(await all_settled(source, 2))

    assert run(cluster, topic, scenario) == [b"a", b"c"]


def test_a_message_that_keeps_failing_goes_to_the_dead_letters(cluster: Cluster) -> None:
    topic = cluster.topic(b"a", b"b")

    async def scenario(source: KafkaSource) -> list[bytes]:
        seen = []
        while b"b" not in seen:
            received = await taken(source, 1)
            bad = received[0].message.data == b"a"
            await source.settle(received, [AWAY if bad else None])
            seen += data(received)
        return seen

    assert run(cluster, topic, scenario) == [b"a"] * QUICK.attempts + [b"b"]
    (letter,) = cluster.read(topic + DEAD, 1)
    assert (letter.value(), letter.key(), dict(letter.headers())["offset"]) == (b"a", b"key", b"0")


def test_a_consumer_that_joins_takes_over_without_a_loss(cluster: Cluster) -> None:
    topic = cluster.topic(*(b"0%d" % n for n in range(5)), partition=0)
    cluster.publish(topic, *(b"1%d" % n for n in range(5)), partition=1)
    seen: set[bytes] = set()

    async def work(source: KafkaSource) -> None:
        while len(seen) < 20:
            for receiving in [await source.receive(3, 1, 0.05)]:
                await source.settle(receiving, [None] * len(receiving))
                seen.update(data(receiving))

    async def scenario(source: KafkaSource) -> None:
        seen.update(await all_settled(source, 4))
        other = KafkaSource(cluster.properties, topic, topic, QUICK)
        tasks = [asyncio.create_task(work(each)) for each in (source, other)]
        for partition in (0, 1):
            more = [b"%d%d" % (partition, n) for n in range(5, 10)]
            await asyncio.to_thread(cluster.publish, topic, *more, partition=partition)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in (source, other):
            await each.stop()
        await asyncio.gather(*tasks)
        await other.close()

    run(cluster, topic, scenario)
    assert seen == {b"%d%d" % (partition, n) for partition in (0, 1) for n in range(10)}
