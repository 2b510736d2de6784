"""`shared.batch.run.Engine` by Spark, whose tasks call the code of `shared.batch`.

Spark plans, starts and repeats tasks; rows of features pass through its JVM only where it reads them itself. A part
is read by Arrow within the task, as it is on one machine: Spark's own way from Parquet to Arrow, through a row of the
JVM for each Pix, took 31 microseconds of CPU for a row of 194 features, where Arrow takes one. Tasks meet in the
folder of the result, so all of them have to reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa

from shared.adapters.spark.failures import result
from shared.adapters.spark.tasks import answered, answers, numbers, numbers_of
from shared.batch.inputs import Inputs, Part, batches, columns_of, require
from shared.batch.output import ResultFile
from shared.batch.run import BatchRun, Progress
from shared.batch.scoring import BatchScorer
from shared.batch.spans import Slice

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

_WRITERS = 4
"""Tasks that write, for each CPU: a span is a small piece of work, and each task has a price."""


class SparkEngine:
    """Score and write in the tasks of a Spark session."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session

    def score(self, batch: BatchRun, rows: Inputs, progress: Progress) -> list[Slice]:
        """Decide the rows of all parts, one in a task."""
        shared = self._session.sparkContext.broadcast(_Scoring(batch, rows))
        tasks = len(rows.parts)
        return self._sliced(numbers(self._session, tasks, tasks), _ScoreParts(shared), tasks, progress)

    def write(self, batch: BatchRun, spans: Mapping[int, list[Slice]], progress: Progress) -> list[ResultFile]:
        """Write the file of each span, in _WRITERS tasks for each CPU at most."""
        shared = self._session.sparkContext.broadcast(_Writing(batch, list(spans.items())))
        tasks = min(len(spans), _WRITERS * self._session.sparkContext.defaultParallelism)
        parts = numbers(self._session, len(spans), tasks)
        told = answered(self._session, parts, _WriteSpans(shared), tasks, progress)
        files = [msgspec.json.decode(each, type=ResultFile) for each in told]
        return sorted(files, key=lambda file: file.name)

    def _sliced(
        self, rows: DataFrame, work: Callable[[Any], Iterator[pa.RecordBatch]], tasks: int, progress: Progress
    ) -> list[Slice]:
        told = answered(self._session, rows, work, tasks, progress)
        return [msgspec.json.decode(each, type=Slice) for each in told]


class SparkSource(NamedTuple):
    """A data source of Spark: its name (`bigquery`, `parquet`), its options, and the path to load, if it has one."""

    name: str
    options: Mapping[str, str]
    path: str | None = None


class SparkRows(SparkEngine):
    """Score rows that Spark itself reads, by any source that it knows: the connector of BigQuery on Dataproc."""

    def __init__(self, session: SparkSession, source: SparkSource) -> None:
        super().__init__(session)
        self._source = source

    def score(self, batch: BatchRun, rows: Inputs, progress: Progress) -> list[Slice]:
        """Decide the rows of the source; `rows` has no parts."""
        found = result(self._load)
        features = BatchScorer(batch.method).features
        require(_arrow_schema(found), features, self._source.name)
        columns = list(columns_of(features, "scheduled_for" in found.columns))
        shared = self._session.sparkContext.broadcast(_Scoring(batch, rows))
        own = found.select(*columns)
        return self._sliced(own, _ScoreRows(shared), own.rdd.getNumPartitions(), progress)

    def _load(self) -> DataFrame:
        return self._session.read.format(self._source.name).options(**self._source.options).load(self._source.path)


class _Scoring(NamedTuple):
    """The input of tasks that score."""

    batch: BatchRun
    rows: Inputs


class _Writing(NamedTuple):
    """The input of tasks that write."""

    batch: BatchRun
    spans: Sequence[tuple[int, list[Slice]]]


class _ScoreParts:
    """Score the parts whose numbers come; the model is loaded once a task."""

    def __init__(self, shared: Broadcast[_Scoring]) -> None:
        self._shared = shared

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        batch, rows = self._shared.value
        own = [rows.parts[i] for i in numbers_of(parts)]
        if own:
            scorer = BatchScorer(batch.method)
            yield from answers(batch.scored(scorer, _rows(own, rows.columns)))


class _ScoreRows:
    """Score the rows that come; the model is loaded once a task."""

    def __init__(self, shared: Broadcast[_Scoring]) -> None:
        self._shared = shared

    def __call__(self, rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        batch = self._shared.value.batch
        yield from answers(batch.scored(BatchScorer(batch.method), rows))


class _WriteSpans:
    """Write the files of the spans whose numbers come."""

    def __init__(self, shared: Broadcast[_Writing]) -> None:
        self._shared = shared

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        batch, spans = self._shared.value
        yield from answers(batch.finished(*spans[i]) for i in numbers_of(parts))


def _rows(parts: Iterable[Part], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        yield from batches(part, columns)


def _arrow_schema(rows: DataFrame) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(rows.schema, timezone="UTC")
