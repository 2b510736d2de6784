"""`shared.learning.training.engine.TrainingEngine` by Spark: the sample, the search, candidates fitted to all rows.

BigQuery exports all rows once, to where all tasks reach them. Spark takes the sample by the conditions of the query
that takes it on one machine, so it has the same rows. The folds of a search are small: a task fits one of them, by
the code of one machine. Candidates of pyspark.ml learn all rows, which tasks check, weigh and sort out by that code,
too: rows come to a task by Pix, so both sides of one are in the same task.
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

from shared.adapters.spark.forests import estimator, fitted
from shared.adapters.spark.session import unsupported_pandas
from shared.adapters.spark.tasks import answered, answers, numbers, watched
from shared.batch.inputs import located
from shared.errors import Misconfigured
from shared.learning.config import AllRowsCandidate
from shared.learning.data.dataset import usable_rows
from shared.learning.data.label_chance import label_chances, label_weights
from shared.learning.data.training_query import TrainingQuery, sampled
from shared.learning.data.training_sample import MILLION
from shared.learning.errors import BadDataset
from shared.learning.training.engine import AllRows, Export, Grown
from shared.learning.training.evaluation import Attempt, Evaluate, FoldData, FoldScore, fold_score
from shared.learning.training.families.inputs import MISSING
from shared.ports import RowExports

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

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

        Raises Misconfigured for a parameter that one of `candidates` does not have, as a fit comes late in a run.
        """
        for candidate in candidates:
            estimator(candidate, seed=0)
        self._session, self._export, self._work = session, export, work
        self._weighed: str | None = None
        self._until = 0

    def sample(
        self, exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
    ) -> Sequence[Path]:
        """Take the sample from all rows, which stay for `grow`. Raises Unavailable, Misconfigured."""
        places = self._export(exports, query.all_rows(names))
        self._until = query.until
        found = f"{self._work}/sample"
        self._run(lambda: self._sampled(places, names, legitimate, found))
        return _fetched(found, folder)

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
        weighed = self._weighed or self._run(lambda: self._weigh(rows))
        self._weighed = weighed
        return self._run(lambda: self._grown(candidate, weighed, rows, seed))

    def _run(self, call: Callable[[], T]) -> T:
        return watched(self._session, call, 0)

    def _sampled(self, places: Sequence[str], names: Sequence[str], legitimate: int, target: str) -> None:
        self._session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        self._session.read.parquet(*places).createOrReplaceTempView(_VIEW)
        self._session.sql(sampled(_VIEW, names, legitimate)).write.mode("overwrite").parquet(target)

    def _weigh(self, rows: AllRows) -> str:
        """Write all rows with their weights, and return the folder."""
        found = self._session.sql(sampled(_VIEW, rows.names, MILLION))
        tasks = -(-self._session.table(_VIEW).count() // _TASK_ROWS)
        by_pix = found.repartition(max(tasks, self._session.sparkContext.defaultParallelism), "end_to_end_id")
        with unsupported_pandas():
            weighed = by_pix.mapInArrow(_Weigh(rows._replace(until=self._until)), _WEIGHED)
        target = f"{self._work}/weighed"
        weighed.write.mode("overwrite").parquet(target)
        return target

    def _grown(self, candidate: AllRowsCandidate, weighed: str, rows: AllRows, seed: int) -> Grown:
        own = self._session.read.parquet(weighed).where(f"at BETWEEN {rows.since} AND {rows.until}")
        place = f"{self._work}/{candidate.name}-{uuid.uuid4().hex}"
        return fitted(self._session, candidate, own, len(rows.names), seed, place)


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
        own = [each for each in parts if each.num_rows]
        if not own:
            return
        with TemporaryDirectory(prefix="all-rows-") as folder:
            file = Path(folder) / "rows.parquet"
            pq.write_table(pa.Table.from_batches(own), file)
            yield from self._weighed(file)

    def _weighed(self, file: Path) -> Iterator[pa.RecordBatch]:
        names, _, until, rates, weight_max = self._rows
        try:
            keys, matrix = usable_rows([file], names, until)
        except BadDataset as error:
            raise Misconfigured(str(error).partition("\n")[0]) from error
        weight = keys.weight * label_weights(label_chances(keys.decided, keys.pix, rates), weight_max)
        features = np.ascontiguousarray(np.nan_to_num(matrix.values, nan=MISSING), dtype=np.float64)
        offsets = np.arange(0, features.size + 1, len(names), dtype=np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(features.reshape(-1)))
        columns = [pa.array(keys.initiated_at), pa.array(keys.fraud.astype(np.float64)), pa.array(weight), lists]
        yield pa.RecordBatch.from_arrays(columns, schema=_WEIGHED_SCHEMA)


def _fetched(place: str, folder: Path) -> list[Path]:
    """Copy the Parquet files of a folder of Spark. Raises Misconfigured."""
    storage, path = located(place)
    fs.copy_files(path, str(folder), source_filesystem=storage, destination_filesystem=fs.LocalFileSystem())
    return sorted(folder.glob("*.parquet"))
