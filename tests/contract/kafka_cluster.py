"""The mock cluster of Kafka's client, for tests."""

from __future__ import annotations

import uuid
from typing import Any

from confluent_kafka import Consumer, Producer

from tests.waiting import PATIENCE, until


class Cluster:
    """A mock cluster in this process, which lives as long as its producer."""

    def __init__(self) -> None:
        self._producer = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "mock"})
        brokers = self._producer.list_topics(timeout=PATIENCE).brokers.values()
        self.properties = {
            "bootstrap.servers": ",".join(f"{each.host}:{each.port}" for each in brokers),
            "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "500",
        }

    def topic(self, *data: bytes, partition: int = 0) -> str:
        name = f"t-{uuid.uuid4().hex}"
        self.publish(name, *data, partition=partition)
        return name

    def publish(self, topic: str, *data: bytes, partition: int = 0) -> None:
        for each in data:
            self._producer.produce(topic, each, key=b"key", partition=partition)
        assert self._producer.flush(PATIENCE) == 0

    def read(self, topic: str, count: int) -> list[Any]:
        """Return the first messages of a topic."""
        consumer = Consumer({**self.properties, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        found = until(lambda: consumer.consume(count, 1.0))
        consumer.close()
        return found
