"""`shared.replay.partitioned.engine.ReplayEngine` by Spark, whose tasks meet in a folder that all of them reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from shared.adapters.spark.tasks import answered, answers, numbers, numbers_of
from shared.replay.partitioned.tasks import Task, TaskResult

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession


class SparkReplay:
    """Run the tasks of a replay in those of a Spark session, each in one of its own."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self.workers: int = session.sparkContext.defaultParallelism

    def run(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Return the result of each task, once all have ended."""
        if not tasks:
            return []
        shared = self._session.sparkContext.broadcast(list(tasks))
        try:
            rows = numbers(self._session, len(tasks), len(tasks))
            found = answered(self._session, rows, _Run(shared), len(tasks))
        finally:
            shared.destroy()
        results = dict(msgspec.json.decode(each, type=tuple[int, TaskResult]) for each in found)
        return [results[number] for number in range(len(tasks))]


class _Run:
    """Run the tasks whose numbers come."""

    def __init__(self, shared: Broadcast[list[Task]]) -> None:
        self._shared = shared

    def __call__(self, rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from answers((number, self._shared.value[number]()) for number in numbers_of(rows))
