"""`shared.learning.training.engine.TrainingEngine` by Spark: the sample, the search, candidates fitted to all rows.

BigQuery exports all rows once, to where all tasks reach them. Spark takes the sample by the conditions of the query
that takes it on one machine, so it has the same rows; the quality checks count all rows. The folds of a search are
small: a task fits one of them, by the code of one machine. Candidates of pyspark.ml and XGBoost learn all rows, which
tasks check, weigh and sort out by that code, too: rows come to a task by Pix, so both sides of one are in the same
task.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from shared.adapters.spark import boosting, forests
from shared.adapters.spark.session import unsupported_pandas
from shared.adapters.spark.tasks import answered, answers, numbers, watched
from shared.batch.inputs import located
from shared.errors import Misconfigured
from shared.learning.data.dataset import SampledRows, row_counts, usable_rows
from shared.learning.data.key_columns import KeyColumns
from shared.learning.data.label_chance import label_chances, label_weights
from shared.learning.data.matrix import FeatureMatrix
from shared.learning.data.row_counts import RowCounts, added
from shared.learning.data.training_query import TrainingQuery, every, sampled
from shared.learning.data.training_sample import MILLION
from shared.learning.errors import BadDataset
from shared.learning.specs.search import AllRowsCandidate
from shared.learning.training.engine import AllRows, Export, Grown
from shared.learning.training.evaluation import Attempt, Evaluate, FoldData, FoldScore, fold_score
from shared.learning.training.families.inputs import MISSING
from shared.ports.tables import RowExports

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
_VIEW = "all_rows"
_TASK_ROWS = 100_000
"""Rows that a task has in memory while it checks them: 80 MB of features."""
_WEIGHED = "at long, label double, weight double, features array<double>"
_WEIGHED_SCHEMA = pa.schema(
    [("at", pa.int64()), ("label", pa.float64()), ("weight", pa.float64()), ("features", pa.list_(pa.float64()))]
)


class SparkTraining:
    """The machines of a Spark session."""

    def __init__(
        self, session: SparkSession, export: Export, work: str, candidates: Sequence[AllRowsCandidate] = ()
    ) -> None:
        """Export all rows by `export`; `work` is a folder that all tasks reach, by path or URI.

        Raises Misconfigured if one of `candidates` has a parameter that is unknown, or lacks its package, as a fit
        comes late in a run.
        """
        for candidate in candidates:
            if candidate.family == "xgboost":
                boosting.estimator(session, candidate, seed=0)
            else:
                forests.estimator(candidate, seed=0)
        self._session, self._export, self._work = session, export, work
        self._weighed: str | None = None
        self._until = 0

    def sample(
        self, exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
    ) -> SampledRows:
        """Count all rows, which stay for `grow`, and take the sample from them. Raises Unavailable, Misconfigured."""
        places = self._export(exports, query.all_rows(names))
        self._until = query.until
        found = f"{self._work}/sample"
        by_pix, tasks = self._run(lambda: self._all_rows(places, names))
        told = answered(self._session, by_pix, _Count(names, query.until), tasks)
        self._run(lambda: self._sampled(names, legitimate, found))
        return SampledRows(_fetched(found, folder), added([_counts_in(each) for each in told]) if told else None)

    def evaluator(self, folds: Sequence[FoldData], seed: int) -> Evaluate:
        """Return the evaluation by tasks, one for each attempt and fold."""
        shared = self._session.sparkContext.broadcast((list(folds), seed))

        def evaluate(attempts: Sequence[Attempt]) -> Sequence[Iterator[FoldScore]]:
            work, count = _FitFolds(shared, list(attempts)), len(folds) * len(attempts)
            found = answered(self._session, numbers(self._session, count, count), work, count)
            scores = dict(msgspec.json.decode(each, type=tuple[int, FoldScore]) for each in found)
            return [iter([scores[k * len(folds) + i] for i in range(len(folds))]) for k in range(len(attempts))]

        return evaluate

    def grow(self, candidate: AllRowsCandidate, rows: AllRows, seed: int) -> Grown:
        """Fit a candidate to all rows. Raises FitFailed, ExportFailed, Misconfigured, Unavailable."""
        weighed = self.weigh(rows)
        return self._run(lambda: self._grown(candidate, weighed, rows, seed))

    def weigh(self, rows: AllRows) -> str:
        """Return the folder of all rows with their weights, written once. Raises Misconfigured, Unavailable."""
        self._weighed = self._weighed or self._run(lambda: self._weigh(rows))
        return self._weighed

    def _run(self, call: Callable[[], T]) -> T:
        return watched(self._session, call, 0)

    def _all_rows(self, places: Sequence[str], names: Sequence[str]) -> tuple[DataFrame, int]:
        """Return all rows, which become a view, by Pix, and the number of tasks."""
        self._session.read.parquet(*places).createOrReplaceTempView(_VIEW)
        return self._by_pix(every(_VIEW, names))

    def _by_pix(self, sql: str) -> tuple[DataFrame, int]:
        """Return the rows of a query of all with both sides of each Pix in one task, and the number of tasks."""
        rows = -(-self._session.table(_VIEW).count() // _TASK_ROWS)
        tasks = max(rows, self._session.sparkContext.defaultParallelism)
        return self._session.sql(sql).repartition(tasks, "end_to_end_id"), tasks

    def _sampled(self, names: Sequence[str], legitimate: int, target: str) -> None:
        self._session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        self._session.sql(sampled(_VIEW, names, legitimate)).write.mode("overwrite").parquet(target)

    def _weigh(self, rows: AllRows) -> str:
        """Write all rows with their weights, and return the folder."""
        by_pix, _ = self._by_pix(sampled(_VIEW, rows.names, MILLION))
        with unsupported_pandas():
            weighed = by_pix.mapInArrow(_Weigh(rows._replace(until=self._until)), _WEIGHED)
        target = f"{self._work}/weighed"
        weighed.write.mode("overwrite").parquet(target)
        return target

    def _grown(self, candidate: AllRowsCandidate, weighed: str, rows: AllRows, seed: int) -> Grown:
        own = self._session.read.parquet(weighed).where(f"at BETWEEN {rows.since} AND {rows.until}")
        if candidate.family == "xgboost":
            return boosting.fitted(self._session, candidate, own, len(rows.names), seed)
        place = f"{self._work}/{candidate.name}-{uuid.uuid4().hex}"
        return forests.fitted(self._session, candidate, own, len(rows.names), seed, place)


class _FitFolds:
    """Fit the attempts and folds whose numbers come: that of an attempt, times the number of folds, plus a fold's."""

    def __init__(self, shared: Broadcast[tuple[list[FoldData], int]], attempts: list[Attempt]) -> None:
        self._shared, self._attempts = shared, attempts

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        folds, seed = self._shared.value
        asked = (number for each in parts for number in each.column(0).to_pylist())
        yield from answers(
            (number, fold_score(self._attempts[number // len(folds)], folds, number % len(folds), seed))
            for number in asked
        )


class _Weigh:
    """Sort out and weigh the rows that come, which have both sides of each Pix."""

    def __init__(self, rows: AllRows) -> None:
        self._rows = rows

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names, _, until, rates, weight_max, amounts = self._rows
        if (found := _usable(parts, names, until)) is None:
            return
        keys, matrix = found
        weight = keys.weight * label_weights(label_chances(keys.decided, keys.pix, rates), weight_max)
        weight *= amounts.factors(keys.amount, keys.fraud)
        features = np.ascontiguousarray(np.nan_to_num(matrix.values, nan=MISSING), dtype=np.float64)
        offsets = np.arange(0, features.size + 1, len(names), dtype=np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(features.reshape(-1)))
        columns = [pa.array(keys.initiated_at), pa.array(keys.fraud.astype(np.float64)), pa.array(weight), lists]
        yield pa.RecordBatch.from_arrays(columns, schema=_WEIGHED_SCHEMA)


class _Count:
    """Count the rows that come, which have both sides of each Pix."""

    def __init__(self, names: Sequence[str], until: int) -> None:
        self._names, self._until = names, until

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if (found := _usable(parts, self._names, self._until)) is not None:
            counts = row_counts(*found, self._names)
            yield from answers([(msgspec.msgpack.encode(counts),)])  # a range may be infinite, unlike in JSON


def _counts_in(answer: str) -> RowCounts:
    [data] = msgspec.json.decode(answer, type=tuple[bytes])
    return msgspec.msgpack.decode(data, type=RowCounts)


def _usable(
    parts: Iterable[pa.RecordBatch], names: Sequence[str], until: int
) -> tuple[KeyColumns, FeatureMatrix] | None:
    """Return the rows that come to a task and can be used, None if none come. Raises Misconfigured."""
    own = [each for each in parts if each.num_rows]
    if not own:
        return None
    with TemporaryDirectory(prefix="all-rows-") as folder:
        file = Path(folder) / "rows.parquet"
        pq.write_table(pa.Table.from_batches(own), file)
        try:
            return usable_rows([file], names, until)
        except BadDataset as error:
            raise Misconfigured(" ".join(str(error).splitlines())) from error


def _fetched(place: str, folder: Path) -> list[Path]:
    """Copy the Parquet files of a folder of Spark. Raises Misconfigured."""
    storage, path = located(place)
    fs.copy_files(path, str(folder), source_filesystem=storage, destination_filesystem=fs.LocalFileSystem())
    return sorted(folder.glob("*.parquet"))
