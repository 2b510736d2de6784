"""Tasks of Spark that answer in JSON, and their progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pyarrow as pa

from shared.adapters.spark.failures import result
from shared.adapters.spark.session import unsupported_pandas
from shared.batch.run import Progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
Work = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""The work of a task on the rows that come to it."""
_POLL_SECONDS = 0.25
_ANSWER = "answer string"
_SCHEMA = pa.schema([("answer", pa.string())])


def unseen(_done: int, _total: int, _status: str) -> None:
    """Show no progress."""


def numbers(session: SparkSession, n: int, tasks: int) -> DataFrame:
    """Return the numbers from 0 to before n, in some partitions."""
    return session.range(0, n, 1, max(tasks, 1))


def numbers_of(batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    """Yield the numbers that come to a task from `numbers`."""
    for each in batches:
        yield from each.column(0).to_pylist()


def answers(found: Iterable[msgspec.Struct | tuple[Any, ...]]) -> Iterator[pa.RecordBatch]:
    """Yield records as the answers of a task."""
    for each in found:
        yield pa.RecordBatch.from_pydict({"answer": [msgspec.json.encode(each).decode()]}, _SCHEMA)


def answered(
    session: SparkSession, rows: DataFrame, work: Work, tasks: int, progress: Progress = unseen
) -> list[str]:
    """Return the answers of tasks. Raises Misconfigured, Unavailable."""
    with unsupported_pandas():
        found = rows.mapInArrow(work, _ANSWER)
    return [row["answer"] for row in watched(session, found.collect, tasks, progress)]


def watched(session: SparkSession, call: Callable[[], T], tasks: int, progress: Progress = unseen) -> T:
    """Return the result of a call that starts tasks. Raises Misconfigured, Unavailable.

    The call waits in a thread, so that a signal ends it between two messages to the JVM, not within one.
    """
    tracker = session.sparkContext.statusTracker()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        try:
            while not wait([future], _POLL_SECONDS).done:
                infos = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
                progress(sum(each.numCompletedTasks for each in infos), tasks, "")
        except BaseException:
            session.sparkContext.cancelAllJobs()
            raise
        return result(future.result)
