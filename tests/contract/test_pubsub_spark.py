"""Pub/Sub as a data source of Spark, without Spark: parts of micro-batches and their settlement, on both Pub/Subs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib.util import find_spec

import pyarrow as pa
import pytest

from shared.errors import Misconfigured, Unavailable
from shared.telemetry import logs
from tests.contract.pubsub_world import PROJECT, QUICK_RETRY, World, world

if find_spec("pyspark") is None:
    pytest.skip("pyspark (`make spark`) is needed", allow_module_level=True)

from shared.adapters.spark import pubsub
from shared.adapters.spark.feed import received
from shared.adapters.spark.pubsub import PubsubReader, PubsubSettlement

__all__ = ["world"]


@pytest.fixture(autouse=True)
def _no_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "configure", lambda: None)  # that of a worker process
    yield
    pubsub._leases.cache_clear()


def reader(subscription: str, tasks: int = 1, most: int = 100, seconds: int = 3) -> PubsubReader:
    options = {"subscription": subscription, "tasks": tasks, "most": most, "seconds": seconds}
    return PubsubReader({name: str(value) for name, value in options.items()})


def read(subscription: str, **options: int) -> pa.RecordBatch:
    """Read one part of a micro-batch."""
    found = reader(subscription, **options)
    (part, *_) = found.partitions({"batch": 0}, {"batch": 1})
    return pa.Table.from_batches(found.read(part), pubsub._SCHEMA).combine_chunks().to_batches()[0]


def test_stored_messages_are_gone_and_the_others_come_again(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic, retry_policy=QUICK_RETRY)
    for each in (b"a", b"b", b"c"):
        world.publish(topic, each)
    found = read(subscription, most=3)
    messages = {each.message.data: each for each in received(found)}
    assert set(messages) == {b"a", b"b", b"c"}
    now = dt.datetime.now(dt.UTC)
    assert all(abs(now - each.message.publish_time) < dt.timedelta(minutes=10) for each in messages.values())
    errors = [Unavailable("away") if each.message.data == b"b" else None for each in received(found)]
    assert PubsubSettlement(subscription).settle(found, errors).num_rows == 0
    (again,) = world.pull(subscription)
    assert (again.message.data, again.message.message_id) == (b"b", messages[b"b"].message.message_id)


def test_a_micro_batch_has_its_most_and_the_tasks_share_it(world: World) -> None:
    topic = world.topic()
    subscription = world.subscription(topic)
    for each in range(5):
        world.publish(topic, bytes([each]))
    assert read(subscription, tasks=2, most=6).num_rows == 3
    assert len(reader(subscription, tasks=2).partitions({"batch": 4}, {"batch": 5})) == 2
    assert reader(subscription).partitions({"batch": 4}, {"batch": 4}) == []
    assert reader(subscription).latestOffset({"batch": 4}, None) == {"batch": 5}


@pytest.mark.usefixtures("world")
def test_a_subscription_that_is_not_there_is_named() -> None:
    missing = f"projects/{PROJECT}/subscriptions/missing"
    with pytest.raises(Misconfigured, match=missing):
        read(missing)


def test_without_messages_a_micro_batch_is_empty(world: World) -> None:
    found = reader(world.subscription(world.topic()), seconds=1)
    assert list(found.read(found.partitions({"batch": 0}, {"batch": 1})[0])) == []
