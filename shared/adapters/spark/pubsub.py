"""Pub/Sub as a stream of Spark: a data source in Python, as no jar of Spark reads it.

A subscription has no offsets to return to, so an offset is the number of a micro-batch. Each task pulls, and settles
its messages once they are stored; those of a task that ends before come again when their leases end. The subscription
has the policies of back-off and dead letters.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition

from shared.adapters.spark.feed import MESSAGES
from shared.contract.event import micros
from shared.errors import Unavailable
from shared.serving.insisting import ONCE, Retries
from shared.telemetry import logs
from shared.telemetry.incidents import Incident

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter
    from pyspark.sql.streaming.datasource import ReadLimit

    from shared.adapters.pubsub.leases import Leases

log = logging.getLogger(__name__)

_SCHEMA = pa.schema(
    [
        ("data", pa.binary()),
        ("message_id", pa.string()),
        ("published_at", pa.int64()),
        ("attempt", pa.int32()),
        ("receipt", pa.string()),
        ("key", pa.binary()),
    ]
)
"""MESSAGES, for Arrow."""
_AT_ONCE = 1_000
"""Messages of a pull, at most: Pub/Sub gives no more."""
_SHORTEST_PULL = 0.25
"""Seconds: an answer that comes too late leaves its messages leased to nobody."""
_unsettled = Incident(log, "not settled", time.monotonic)
_broken = Incident(log, "Pub/Sub away", time.monotonic)


class PubsubSettlement(NamedTuple):
    """`shared.adapters.spark.feed.Settlement` by the leases of a subscription, which keeps its own dead letters."""

    subscription: str
    retries: Retries = ONCE

    def settle(self, batch: pa.RecordBatch, errors: Sequence[Exception | None]) -> pa.RecordBatch:
        """Acknowledge the messages without an error, and have the others delivered again, as after a lost call."""
        receipts = list(zip(batch.column("receipt").to_pylist(), errors, strict=True))
        leases = _leases(self.subscription)
        try:
            leases.acknowledge([receipt for receipt, error in receipts if error is None])
            leases.release([receipt for receipt, error in receipts if error is not None])
            _unsettled.resolve()
        except Unavailable as error:
            _unsettled.trigger(reason=str(error))
        return batch.slice(0, 0)


class PubsubStream(NamedTuple):
    """`shared.adapters.spark.stream.StreamSource` of a subscription."""

    subscription: str
    """Its full name."""
    tasks: int
    """Tasks that pull side by side."""
    most: int
    """Messages of a micro-batch, at most."""
    seconds: int
    """Time for which a task pulls in a micro-batch."""

    @property
    def settlement(self) -> PubsubSettlement:
        """Return the settlement of tasks."""
        return PubsubSettlement(self.subscription)

    def load(self, session: SparkSession) -> DataFrame:
        """Return the messages of the subscription."""
        session.dataSource.register(PubsubDataSource)
        own = {name: str(value) for name, value in self._asdict().items()}
        return session.readStream.format(PubsubDataSource.name()).options(**own).load()

    def writer(self, letters: DataFrame) -> DataStreamWriter:
        """Return a writer that drops all messages: no dead letter comes."""
        return letters.writeStream.format("noop")


class PubsubDataSource(DataSource):  # type: ignore[misc]  # pyspark is not always installed
    """The data source `pix-pubsub`; its options are the fields of PubsubStream."""

    @classmethod
    def name(cls) -> str:
        """Return the name by which Spark finds it."""
        return "pix-pubsub"

    def schema(self) -> str:
        """Return the columns."""
        return MESSAGES

    def streamReader(self, schema: object) -> PubsubReader:  # noqa: ARG002, N802 (Spark's signature)
        """Return the reader."""
        return PubsubReader(self.options)


class PubsubReader(DataSourceStreamReader):  # type: ignore[misc]  # pyspark is not always installed
    """Micro-batches of a subscription: always one more, of the messages that come while it is read."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._subscription = options["subscription"]
        self._tasks = int(options["tasks"])
        self._most = -(-int(options["most"]) // self._tasks)
        self._seconds = int(options["seconds"])

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 (Spark's name)
        """Return the offset before the first micro-batch."""
        return {"batch": 0}

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: ARG002, N802 (Spark's signature)
        """Return the offset behind the next micro-batch."""
        return {"batch": start["batch"] + 1}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        """Return the parts of micro-batches, one for each task."""
        return [InputPartition(i) for i in range(self._tasks)] if start != end else []

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 (all tasks pull alike)
        """Yield the messages that come in time. Raises Misconfigured if there is no such subscription."""
        logs.configure()
        leases, left, end = _leases(self._subscription), self._most, time.monotonic() + self._seconds
        while left > 0 and (seconds := end - time.monotonic()) > _SHORTEST_PULL:
            try:
                found = leases.pull(min(left, _AT_ONCE), seconds)
                _broken.resolve()
            except Unavailable as error:
                _broken.trigger(reason=str(error))
                time.sleep(max(0.0, end - time.monotonic()))
                return
            left -= len(found)
            if found:
                yield pa.RecordBatch.from_pylist([_row(each) for each in found], _SCHEMA)


@cache
def _leases(subscription: str) -> Leases:
    """Return the client of this process; those that only plan for Spark have none, and do not wait for its import.

    Raises Misconfigured, Unavailable for credentials.
    """
    from google.cloud.pubsub_v1 import SubscriberClient

    from shared.adapters.google_failures import credentials_needed
    from shared.adapters.pubsub.leases import Leases

    with credentials_needed():
        return Leases(SubscriberClient(), subscription)


def _row(each: Any) -> dict[str, Any]:
    message = each.message
    return {
        "data": message.data,
        "message_id": message.message_id,
        "published_at": micros(message.publish_time),
        "attempt": each.delivery_attempt or None,
        "receipt": each.ack_id,
    }
