"""One behaviour, two servers: Google's emulator and the embedded one, through the official clients."""

from __future__ import annotations

import functools
import queue
import threading
import time
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.protobuf.field_mask_pb2 import FieldMask

from tests.contract.pubsub_world import QUICK_RETRY, World, check_dead_letter, world
from tests.waiting import PATIENCE

__all__ = ["world"]


def test_a_published_message_is_pulled_with_its_attributes_id_and_time(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    before = time.time()
    message_id = world.publish(topic, b"hello", source="MED", attempt="1")
    [received] = world.pull(subscription)
    assert received.message.data == b"hello"
    assert dict(received.message.attributes) == {"source": "MED", "attempt": "1"}
    assert received.message.message_id == message_id
    assert before - 1 <= received.message.publish_time.timestamp() <= time.time() + 1
    assert received.delivery_attempt == 0, "counted only with a dead-letter policy"


def test_binary_data_survives(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    every_byte = bytes(range(256)) * 64
    world.publish(topic, every_byte)
    [received] = world.pull(subscription)
    assert received.message.data == every_byte


def test_an_empty_message_is_refused_unless_it_has_attributes(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    world.publish(topic, b"", only="attributes")
    [received] = world.pull(subscription)
    assert (received.message.data, dict(received.message.attributes)) == (b"", {"only": "attributes"})
    with pytest.raises(exceptions.InvalidArgument):
        world.publish(topic, b"")


def test_a_batch_arrives_complete_with_distinct_ids(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    futures = [world.publisher.publish(topic, str(number).encode()) for number in range(500)]
    ids = {future.result(timeout=PATIENCE) for future in futures}
    received = world.pull(subscription, 500)
    assert {message.message.message_id for message in received} == ids
    assert len(ids) == 500
    assert {int(message.message.data) for message in received} == set(range(500))


def test_a_subscription_gets_no_earlier_messages(world: World) -> None:
    topic = world.topic()
    world.publish(topic, b"early")
    subscription = world.subscription(topic)
    world.publish(topic, b"late")
    assert [message.message.data for message in world.pull(subscription)] == [b"late"]
    assert world.ready(subscription) == []


def test_every_subscription_gets_every_message(world: World) -> None:
    topic = world.topic()
    subscriptions = [world.subscription(topic) for _ in range(3)]
    ids = {world.publish(topic, str(number).encode()) for number in range(10)}
    for subscription in subscriptions:
        assert {message.message.message_id for message in world.pull(subscription, 10)} == ids


def test_a_leased_message_is_not_delivered_until_rejected(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    message_id = world.publish(topic, b"once more")
    [first] = world.pull(subscription)
    assert world.ready(subscription) == []
    world.reject(subscription, first)
    [second] = world.pull(subscription)
    assert second.message.message_id == message_id
    assert second.ack_id != first.ack_id


def test_a_message_is_redelivered_after_its_deadline_unless_acknowledged(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    message_id = world.publish(topic, b"forgotten")
    [first] = world.pull(subscription)
    world.set_deadline(subscription, first, 1)
    [second] = world.pull(subscription)
    assert second.message.message_id == message_id
    world.set_deadline(subscription, second, 2)  # enough to acknowledge it, and less than the waits below
    world.acknowledge(subscription, second)
    assert [world.ready(subscription) for _ in range(3)] == [[], [], []]


def test_the_delay_between_attempts_grows(world: World) -> None:
    """The third wait exceeds the minimum by far (the first is no measure: Google's emulator makes it short)."""
    topic = world.topic()
    half_a_second = {"minimum_backoff": {"nanos": 500_000_000}, "maximum_backoff": {"seconds": 60}}
    subscription = world.subscription(topic, retry_policy=half_a_second)
    world.publish(topic, b"again")
    for _ in range(2):
        world.reject(subscription, world.pull(subscription)[0])
    [third] = world.pull(subscription)
    rejected_at = time.monotonic()
    world.reject(subscription, third)
    world.pull(subscription)
    assert time.monotonic() - rejected_at >= 1.5


def test_a_message_rejected_five_times_goes_to_the_dead_letter_topic(world: World) -> None:
    dead_topic, topic = world.topic(), world.topic()
    dead = world.subscription(dead_topic)
    policy = {"dead_letter_topic": dead_topic, "max_delivery_attempts": 5}
    subscription = world.subscription(topic, dead_letter_policy=policy, retry_policy=QUICK_RETRY)
    world.publish(topic, b"poison", colour="green")
    attempts = []
    for _ in range(5):
        [received] = world.pull(subscription)
        attempts.append(received.delivery_attempt)
        world.reject(subscription, received)
    # Production forwards by itself; Google's emulator only at the next pull of the subscription.
    assert world.ready(subscription) + world.ready(subscription) == []
    [letter] = world.pull(dead)
    assert attempts == [1, 2, 3, 4, 5]
    check_dead_letter(letter.message, subscription, colour="green")
    assert letter.message.data == b"poison"


def test_the_official_subscriber_streams_and_acknowledges(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    ids = {world.publish(topic, str(number).encode()) for number in range(200)}
    seen: set[str] = set()
    complete = threading.Event()

    def receive(message: Any) -> None:
        seen.add(message.message_id)
        message.ack()
        if seen == ids:
            complete.set()

    with pubsub_v1.SubscriberClient() as client:
        stream = client.subscribe(subscription, callback=receive)
        assert complete.wait(PATIENCE)
        stream.cancel()
        stream.result(timeout=PATIENCE)
    assert world.ready(subscription) == []


def test_a_message_nacked_on_a_stream_is_redelivered(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    seen: list[str] = []
    twice = threading.Event()

    def receive(message: Any) -> None:
        seen.append(message.message_id)
        if len(seen) < 2:
            message.nack()
        else:
            message.ack()
            twice.set()

    with pubsub_v1.SubscriberClient() as client:
        stream = client.subscribe(subscription, callback=receive)
        message_id = world.publish(topic, b"again")
        assert twice.wait(PATIENCE)
        stream.cancel()
        stream.result(timeout=PATIENCE)
    assert seen == [message_id] * 2


def test_many_subscribers_share_the_work(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    seen: dict[str, set[str]] = {"one": set(), "two": set()}
    arrived: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work(name: str, message: Any) -> None:
        seen[name].add(message.message_id)
        message.ack()
        arrived.put(message.message_id)

    with pubsub_v1.SubscriberClient() as one, pubsub_v1.SubscriberClient() as two:
        streams = [
            client.subscribe(subscription, callback=functools.partial(work, name))
            for name, client in (("one", one), ("two", two))
        ]
        published = set()
        give_up = time.monotonic() + PATIENCE
        while not all(seen.values()) and time.monotonic() < give_up:
            published.add(world.publish(topic, b"work"))
            arrived.get(timeout=PATIENCE)
        for stream in streams:
            stream.cancel()
            stream.result(timeout=PATIENCE)
    assert all(seen.values()), "one subscriber got everything"
    assert seen["one"] | seen["two"] == published
    assert not seen["one"] & seen["two"]


def test_missing_resources_are_not_found(world: World) -> None:
    missing_topic = world.topic() + "x"
    with pytest.raises(exceptions.NotFound):
        world.publish(missing_topic, b"lost")
    with pytest.raises(exceptions.NotFound):
        world.publisher.get_topic(topic=missing_topic)
    with pytest.raises(exceptions.NotFound):
        world.publisher.delete_topic(topic=missing_topic)
    with pytest.raises(exceptions.NotFound):
        world.subscription(missing_topic)
    with pytest.raises(exceptions.NotFound):
        world.subscriber.pull(subscription="projects/bank/subscriptions/missing", max_messages=1)
    with pytest.raises(exceptions.NotFound):
        world.subscription(world.topic(), dead_letter_policy={"dead_letter_topic": missing_topic})


def test_an_existing_resource_is_not_created_again(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    with pytest.raises(exceptions.AlreadyExists):
        world.publisher.create_topic(name=topic)
    with pytest.raises(exceptions.AlreadyExists):
        world.subscriber.create_subscription(name=subscription, topic=topic)


@pytest.mark.parametrize(
    "configuration",
    [
        {"ack_deadline_seconds": 601},
        {"retry_policy": {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 5}}},
        {"retry_policy": {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 601}}},
        {"push_config": {"push_endpoint": "not an address"}},
    ],
)
def test_impossible_configurations_are_refused(world: World, configuration: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        world.subscription(world.topic(), **configuration)


def test_resources_are_listed_changed_and_deleted(world: World) -> None:
    topic = world.topic()
    subscriptions = sorted(world.subscription(topic) for _ in range(3))
    assert sorted(world.publisher.list_topic_subscriptions(request={"topic": topic, "page_size": 2})) == subscriptions
    assert topic in {listed.name for listed in world.publisher.list_topics(project="projects/bank")}
    changed = world.subscriber.update_subscription(
        subscription={"name": subscriptions[0], "ack_deadline_seconds": 33},
        update_mask=FieldMask(paths=["ack_deadline_seconds"]),
    )
    assert changed.ack_deadline_seconds == 33
    world.subscriber.delete_subscription(subscription=subscriptions[1])
    world.publisher.delete_topic(topic=topic)
    left = {listed.name: listed for listed in world.subscriber.list_subscriptions(project="projects/bank")}
    assert subscriptions[1] not in left
    assert left[subscriptions[0]].topic == "_deleted-topic_"
