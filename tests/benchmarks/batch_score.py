"""Rows a second of both engines of jobs.batch_score, and the CPU and memory that they take.

The rows are the simulator's, repeated with ids and times of their own, and written as BigQuery exports them. The
model is that of all measured servers. Spark's session is started before the clock is. CPU counts the processes that
have ended, so that of Spark's workers and its JVM is in the last line only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.adapters.spark.engine import SparkEngine
from shared.adapters.spark.session import session
from shared.batch.inputs import inputs
from shared.batch.output import ResultFolder
from shared.batch.run import BatchRun, Engine, LocalEngine, decide_all
from shared.batch.scoring import BatchScorer, Method
from shared.batch.trees import by_columns
from shared.contract.tables import feature_columns
from shared.learning.data.split import DAY
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Rules
from tests.benchmarks.speed.model import train
from tests.unit.learning.synthetic import silent

_ROW_GROUP = 65_536
_START = 1_790_000_000_000_000  # in microseconds
_DAYS = 30


def write(file: Path, features: NDArray[np.float32], rows: int) -> None:
    """Write `rows` rows of features, the same ones again and again."""
    writer = None
    for start in range(0, rows, _ROW_GROUP):
        numbers = np.arange(start, min(start + _ROW_GROUP, rows))
        columns: dict[str, Any] = {
            "end_to_end_id": [f"E{number:031d}" for number in numbers],
            "initiated_at": pa.array(_START + numbers * (_DAYS * DAY // rows), pa.timestamp("us", tz="UTC")),
        }
        for name, values in zip(feature_columns(), features[numbers % len(features)].T, strict=True):
            columns[name] = pa.array(np.ascontiguousarray(values).astype(np.float64), from_pandas=True)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table, _ROW_GROUP)
    if writer:
        writer.close()


@contextmanager
def engine_of(name: str, bundle: Bundle) -> Iterator[Engine]:
    """Give an engine that has started."""
    if name == "local":
        yield LocalEngine(bundle)
    else:
        with session(None) as spark:
            yield SparkEngine(spark)


def measured(name: str, method: Method, bundle: Bundle, place: str, folder: Path) -> dict[str, Any]:
    """Return the rows a second of an engine."""
    rows = inputs([place], BatchScorer(method, bundle).features)
    batch = BatchRun(method, ResultFolder(str(folder)))
    with engine_of(name, bundle) as engine:
        batch.folder.claim()
        started, cpu = time.perf_counter(), time.process_time()
        found = decide_all(engine, batch, rows, silent)
        seconds, own = time.perf_counter() - started, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    figures = {"rows": found.rows, "rows_per_s": round(found.rows / seconds), "peak_mb": memory}
    return figures | {"cpu_us_per_row": round(own / found.rows * 1e6, 1), "load": os.getloadavg()[0]}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line of JSON for each engine."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.batch_score", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--engine", choices=["local", "spark"], action="append", help="default: both")
    parser.add_argument("--reasons", choices=["stopped", "all"], default="stopped", help="default: %(default)s")
    options = parser.parse_args(argv)
    trained = train()
    bundle = by_columns(Bundle(trained.bundle), trained.bundle)
    method = Method(trained.bundle, tuple(Rules.load().rules), explained=options.reasons)
    with TemporaryDirectory(prefix="bench-batch-") as folder:
        place = Path(folder) / "rows.parquet"
        write(place, trained.features, options.rows)
        for name in options.engine or ["local", "spark"]:
            figures = measured(name, method, bundle, str(place), Path(folder) / name)
            print(json.dumps({"engine": name, "features": len(bundle.feature_names), **figures}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
