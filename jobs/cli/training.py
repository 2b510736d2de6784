"""The composition of a training's engine, from the options of `jobs.retrain`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.cli import wiring
from shared.adapters.bigquery.query import STAGING
from shared.learning.specs.search import AllRowsCandidate
from shared.learning.training.engine import Export, LocalTraining, TrainingEngine
from shared.ports.tables import RowExports
from shared.settings import Settings


@contextmanager
def engine_of(
    name: str, master: str | None, settings: Settings, candidates: Sequence[AllRowsCandidate]
) -> Iterator[TrainingEngine]:
    """Give the engine of a name, which has to know all `candidates`. Raises Misconfigured, Unavailable.

    The rows that Spark works on are deleted with the block: on this machine they are in a temporary folder, on a
    cluster in the bucket of rows.
    """
    if name == "local":
        yield LocalTraining()
        return
    from shared.adapters.spark.session import session
    from shared.adapters.spark.training import SparkTraining

    with session(master) as spark:
        if spark.sparkContext.master.startswith("local"):
            with TemporaryDirectory(prefix="retrain-") as folder:
                yield SparkTraining(spark, _exported_to(Path(folder)), folder, candidates)
            return
        staged, run = wiring.exports(settings), f"retrain-{uuid.uuid4().hex}"

        def stage(_: RowExports, sql: str) -> Sequence[str]:
            staged.stage(sql, f"{run}/rows")
            return [f"{work}/rows"]

        work = f"gs://{settings.data_bucket}/{STAGING}/{run}"
        try:
            yield SparkTraining(spark, stage, work, candidates)
        finally:
            staged.clear(run)


def _exported_to(folder: Path) -> Export:
    def export(exports: RowExports, sql: str) -> Sequence[str]:
        rows = folder / "rows"
        rows.mkdir()
        return [str(file) for file in exports.export(sql, rows)]

    return export
