"""Messages of a Kafka topic, each partition in order; needs the extra `kafka`.

The offset that is committed for a partition is the one before which every message has its row. A message that has to
come again takes its partition back to that offset: the partition pauses, longer after each failure, and goes on from
there, while the others flow. Later messages of it may be stored twice, which is idempotent. After `attempts` failures
a message goes to the topic's dead letters and its partition moves on, so that one message holds it up for some twenty
minutes at most; an outage that lasts longer moves a message of each partition there every time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as Place

from shared.adapters.kafka.partition import Progress
from shared.contract.envelope import PubsubMessage
from shared.contract.topics import DEAD
from shared.errors import Misconfigured
from shared.ports.messages import Received
from shared.serving.insisting import USUAL, Retries
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.02
_CALL_SECONDS = 10.0
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FINAL = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
)
"""Codes that another try does not change."""

Result = TypeVar("Result")


class Receipt(NamedTuple):
    """The origin of a message; `progress` is that of its partition when it came, by identity."""

    partition: int
    offset: int
    key: bytes | None
    progress: Progress


class KafkaSource:
    """`shared.ports.messages.MessageSource` over a consumer group; `properties` are those of librdkafka.

    All calls of the client run in one thread, and so do its callbacks.
    """

    def __init__(self, properties: Mapping[str, str], group: str, topic: str, retries: Retries = USUAL) -> None:
        self._properties, self._topic, self._retries = dict(properties), topic, retries
        self._consumer = Consumer(
            {
                **properties,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.offset.store": False,  # it is stored after the rows, and committed within a second
                "auto.commit.interval.ms": 1_000,
            }
        )
        self._producer: Producer | None = None
        self._thread = ThreadPoolExecutor(1, "kafka")
        self._partitions: dict[int, Progress] = {}
        self._failures: Counter[tuple[int, int]] = Counter()
        self._paused: dict[int, float] = {}
        self._stopped = False
        self._broken = Incident(log, "Kafka", time.monotonic)
        self._dead = Incident(log, "dead letters", time.monotonic)
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    @property
    def waiting(self) -> int:
        """Return 0: the client does not tell how many messages it has fetched."""
        return 0

    async def receive(self, largest: int, enough: int, patience: float) -> list[Received]:  # noqa: ARG002 (the client has one limit)
        """Return the next messages. Raises Misconfigured for a topic or a group that cannot be read."""
        found: list[Received] = []
        while not found and not self._stopped:
            found = await self._called(lambda: self._consume(largest, patience or _IDLE_SECONDS))
        return found

    async def settle(self, received: Sequence[Received], errors: Sequence[Exception | None]) -> None:
        """Store the offsets up to which all is settled, and take partitions back to a message with an error."""
        await self._called(lambda: self._settle(received, errors))

    async def stop(self) -> None:
        """Receive nothing more; offsets can still be stored."""
        self._stopped = True

    async def close(self) -> None:
        """Commit the stored offsets and leave the group."""
        await self._called(self._consumer.close)
        self._thread.shutdown()

    async def _called(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _consume(self, largest: int, seconds: float) -> list[Received]:
        self._resume()
        messages = self._consumer.consume(largest, seconds)
        return list(self._received(messages))

    def _received(self, messages: Sequence[Message]) -> Iterator[Received]:
        now = time.perf_counter()
        for message in messages:
            if error := message.error():
                self._check(error)
                continue
            partition, offset = _place(message)
            if progress := self._partitions.get(partition):
                progress.hand_out(offset)
                yield Received(_message(message), Receipt(partition, offset, _bytes(message.key()), progress), now)

    def _check(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _FINAL:
            raise Misconfigured(f"Kafka topic {self._topic}: {error.name()}")
        self._broken.trigger(reason=error.name())

    def _settle(self, received: Sequence[Received], errors: Sequence[Exception | None]) -> None:
        pairs = sorted(zip(received, errors, strict=True), key=lambda pair: pair[0].receipt[:2])
        for partition, group in groupby(pairs, key=lambda pair: pair[0].receipt.partition):
            failed = [each for each, error in group if not self._settled(each, error)]
            if failed:
                self._take_back(partition)

    def _settled(self, received: Received, error: Exception | None) -> bool:
        """Settle a message and return whether it need not come again; one of an earlier assignment does anyway."""
        receipt: Receipt = received.receipt
        place = (receipt.partition, receipt.offset)
        if self._partitions.get(receipt.partition) is not receipt.progress:
            return True
        if error is not None:
            self._failures[place] += 1
            if self._failures[place] < self._retries.attempts or not self._buried(received):
                return False
        del self._failures[place]
        self._store(receipt.partition, receipt.progress.settle(receipt.offset))
        return True

    def _store(self, partition: int, offset: int) -> None:
        try:
            self._consumer.store_offsets(offsets=[Place(self._topic, partition, offset)])
        except KafkaException as error:  # the partition has just gone to another consumer
            self._broken.trigger(reason=error.args[0].name())

    def _take_back(self, partition: int) -> None:
        """Pause a partition, and go on from the first message that is not settled."""
        position = self._partitions[partition].position
        self._partitions[partition] = Progress()
        worst = max(n for (of, _), n in self._failures.items() if of == partition)
        try:
            self._consumer.pause([Place(self._topic, partition)])
            self._consumer.seek(Place(self._topic, partition, position))
        except KafkaException as error:
            self._broken.trigger(reason=error.args[0].name())
        self._paused[partition] = time.monotonic() + self._retries.pause(worst)

    def _resume(self) -> None:
        now = time.monotonic()
        for partition in [partition for partition, until in self._paused.items() if until <= now]:
            del self._paused[partition]
            self._consumer.resume([Place(self._topic, partition)])

    def _buried(self, received: Received) -> bool:
        """Publish a message to the dead letters and return whether it is there."""
        if self._producer is None:
            self._producer = Producer(self._properties)
        receipt, outcomes = received.receipt, []
        headers: list[tuple[str, str | bytes | None]] = [
            ("partition", str(receipt.partition)),
            ("offset", str(receipt.offset)),
        ]
        self._producer.produce(
            self._topic + DEAD,
            received.message.data,
            receipt.key,
            headers=headers,
            on_delivery=lambda error, _: outcomes.append(error),
        )
        self._producer.flush(_CALL_SECONDS)
        self._dead.trigger(topic=self._topic, partition=receipt.partition, offset=receipt.offset)
        return outcomes == [None]

    def _assigned(self, _: Consumer, places: Sequence[Place]) -> None:
        self._partitions |= {place.partition: Progress() for place in places}

    def _revoked(self, _: Consumer, places: Sequence[Place]) -> None:
        for place in places:
            self._partitions.pop(place.partition, None)
            self._paused.pop(place.partition, None)
            for key in [key for key in self._failures if key[0] == place.partition]:
                del self._failures[key]


def _place(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def _message(message: Message) -> PubsubMessage:
    kind, milliseconds = message.timestamp()
    known = kind != TIMESTAMP_NOT_AVAILABLE and milliseconds > 0
    published = _EPOCH + dt.timedelta(milliseconds=milliseconds) if known else None
    partition, offset = _place(message)
    return PubsubMessage(_bytes(message.value()) or b"", f"{message.topic()}/{partition}/{offset}", published)


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
