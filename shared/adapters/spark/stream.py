"""A stream of Spark around the intake of a function: messages in, dead letters out.

The sink of the stream takes the dead letters, so Spark notes a micro-batch as done once each of its messages has its
row, or has gone there. A micro-batch that a kill has cut short comes again, and the claims of its Pix keep it from
deciding any of them a second time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from shared.adapters.spark.failures import result
from shared.adapters.spark.feed import LETTERS, Feed, Settlement, Wire
from shared.adapters.spark.session import unsupported_pandas
from shared.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter

_ARROW_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"


class StreamSource(Protocol):
    """A source of messages for Spark, and the place of their dead letters."""

    @property
    def settlement(self) -> Settlement:
        """Return the end of messages in their source, for the tasks."""
        ...

    def load(self, session: SparkSession) -> DataFrame:
        """Return the messages, with the columns of `shared.adapters.spark.feed.MESSAGES`. Raises Misconfigured."""
        ...

    def writer(self, letters: DataFrame) -> DataStreamWriter:
        """Return the writer of dead letters, with the columns of `shared.adapters.spark.feed.LETTERS`."""
        ...


def run_stream(session: SparkSession, source: StreamSource, wire: Wire, settings: Settings, checkpoint: str) -> None:
    """Store the messages of a source until an exception, such as that of a signal, ends it.

    `checkpoint` is the folder or URI in which Spark notes its place. The wait is in a thread, so that a signal ends
    it between two messages to the JVM, not within one. Raises Misconfigured, Unavailable.
    """
    session.conf.set(_ARROW_ROWS, settings.batch_max)
    messages = result(lambda: source.load(session))
    with unsupported_pandas():
        letters = messages.mapInArrow(Feed(wire, settings, source.settlement), LETTERS)
    writer = source.writer(letters).option("checkpointLocation", checkpoint)
    query = result(writer.start)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(query.awaitTermination)
        try:
            result(ended.result)
        finally:
            query.stop()
