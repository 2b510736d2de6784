"""Kafka as a stream of Spark, by Spark's own source, whose jar does not come with it.

Offsets are in the checkpoint of the stream; Spark uses no consumer group. Messages have the ids that
`shared.adapters.kafka.source` gives them, and dead letters the same topic and headers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from shared.contract.topics import DEAD
from shared.errors import Misconfigured
from shared.serving.insisting import USUAL, Retries

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter

_PACKAGE = "org.apache.spark:spark-sql-kafka-0-10_2.13"


class KafkaLetters(NamedTuple):
    """`shared.adapters.spark.feed.Settlement` where Spark notes offsets: a message without a row is a dead letter."""

    retries: Retries = USUAL

    def settle(self, batch: pa.RecordBatch, errors: Sequence[Exception | None]) -> pa.RecordBatch:
        """Return the messages with an error."""
        return batch.filter(pa.array([error is not None for error in errors], pa.bool_()))


class KafkaStream(NamedTuple):
    """`shared.adapters.spark.stream.StreamSource` of a topic."""

    properties: Mapping[str, str]
    """Properties of Kafka's Java client, such as bootstrap.servers."""
    topic: str
    most: int
    """Messages of a micro-batch, at most."""

    @property
    def settlement(self) -> KafkaLetters:
        """Return the dead letters of tasks."""
        return KafkaLetters()

    def load(self, session: SparkSession) -> DataFrame:
        """Return the messages of the topic from its start. Raises Misconfigured without the jar."""
        from pyspark.errors import AnalysisException

        reader = session.readStream.format("kafka").options(**self._client)
        own = {"subscribe": self.topic, "startingOffsets": "earliest", "maxOffsetsPerTrigger": str(self.most)}
        try:
            return messages(reader.options(**own).load())
        except AnalysisException as error:
            raise Misconfigured(
                f"this Spark has no source kafka: give spark-submit --packages {_PACKAGE}:{session.version}"
            ) from error

    def writer(self, letters: DataFrame) -> DataStreamWriter:
        """Return the writer into the topic of dead letters."""
        writer = headed(letters).writeStream.format("kafka").options(**self._client)
        return writer.option("topic", self.topic + DEAD)

    @property
    def _client(self) -> dict[str, str]:
        return {f"kafka.{name}": value for name, value in self.properties.items()}


def messages(records: DataFrame) -> DataFrame:
    """Return records of Spark's Kafka source with the columns of `shared.adapters.spark.feed.MESSAGES`."""
    from pyspark.sql import functions as f

    at = f.unix_micros("timestamp")
    return records.select(
        f.col("value").alias("data"),
        f.concat_ws("/", "topic", "partition", "offset").alias("message_id"),
        f.when((f.col("timestampType") >= 0) & (at > 0), at).alias("published_at"),
        f.lit(None).cast("int").alias("attempt"),
        f.lit(None).cast("string").alias("receipt"),
        f.col("key"),
    )


def headed(letters: DataFrame) -> DataFrame:
    """Return dead letters with the columns of Spark's Kafka sink; headers tell where a letter was."""
    from pyspark.sql import functions as f

    place = f.split("message_id", "/")

    def header(name: str, value: Column) -> Any:
        return f.struct(f.lit(name).alias("key"), value.cast("binary").alias("value"))

    headers = f.array(header("partition", f.element_at(place, -2)), header("offset", f.element_at(place, -1)))
    return letters.select("key", f.col("data").alias("value"), headers.alias("headers"))
