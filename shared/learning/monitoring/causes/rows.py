"""The rows that causes are sought in: a sample of a day and one of the days before it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.contract.fields import NOBODY
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import timestamp
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.errors import NothingToDo
from shared.learning.monitoring.health_sql import ONE_DAY
from shared.ports.tables import Queries, RowExports

SAMPLE = 20_000
ROWS_MIN = 200
"""Rows of the day, and of those before, below which nothing can be told apart."""
REFERENCE_DAYS = 7
"""Days before one that it is held against: each weekday once."""


@dataclass(frozen=True, slots=True)
class CauseRows:
    """Rows [n] in order of time: ids, times in microseconds, publishers, forms, amounts in BRL, and vectors."""

    ids: NDArray[np.str_]
    at: NDArray[np.int64]
    publisher: NDArray[np.str_]
    form: NDArray[np.str_]
    by_payee: NDArray[np.bool_]
    amount: NDArray[np.float64]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> CauseRows:
        """Return some rows."""
        return CauseRows(
            self.ids[rows],
            self.at[rows],
            self.publisher[rows],
            self.form[rows],
            self.by_payee[rows],
            self.amount[rows],
            self.features[rows],
        )


@dataclass(frozen=True, slots=True)
class CauseSource:
    """Table `score_events` of `dataset` in `project`."""

    queries: Queries
    exports: RowExports
    project: str
    dataset: str

    def sampled(self, since: dt.datetime, until: dt.datetime, sample: int = SAMPLE) -> tuple[CauseRows, int]:
        """Return about `sample` rows of a period, the same at each call, and the number of all.

        Raises NothingToDo if there are too few, Unavailable, Misconfigured.
        """
        where = self._where(since, until)
        [found] = self.queries.rows(f"SELECT COUNT(*) AS row_count {where}", {})
        if (rows := found["row_count"]) < ROWS_MIN:
            raise NothingToDo(f"{rows:,} of {ROWS_MIN:,} rows with history from {since:%F} to {until:%F}")
        with TemporaryDirectory(prefix="causes-") as folder:
            files = self.exports.export(self.rows_sql(since, until, -(-rows // sample)), Path(folder))
            return _decoded(pa.concat_tables(pq.read_table(file) for file in files)), rows

    def rows_sql(self, since: dt.datetime, until: dt.datetime, one_of: int) -> str:
        """Return the GoogleSQL of one of so many rows."""
        names = ", ".join(FEATURE_PREFIX + name for name in FEATURE_NAMES)
        return (
            "SELECT end_to_end_id, initiated_at, COALESCE(side, 'PAYER') AS side, initiation_form, "
            "IF(side = 'PAYEE', payee_ispb, payer_ispb) AS publisher, CAST(amount AS FLOAT64) AS brl, "
            f"{names} {self._where(since, until)} AND MOD(FARM_FINGERPRINT(end_to_end_id), {one_of}) = 0"
        )

    def _where(self, since: dt.datetime, until: dt.datetime) -> str:
        return (
            f"FROM `{self.project}.{self.dataset}.score_events` "
            f"WHERE initiated_at >= {timestamp(since)} AND initiated_at < {timestamp(until)} "
            f"AND history_sequence IS NOT NULL AND payer_ispb != '{NOBODY}'"
        )


def day_and_reference(source: CauseSource, day: dt.datetime) -> tuple[CauseRows, CauseRows, int]:
    """Return rows of a day, rows of the days before it, and the number of the day's. Raises as `sampled` does."""
    rows, number = source.sampled(day, day + ONE_DAY)
    reference, _ = source.sampled(day - REFERENCE_DAYS * ONE_DAY, day)
    return rows, reference, number


def _decoded(table: pa.Table) -> CauseRows:
    at = table["initiated_at"].cast(pa.timestamp("us")).to_numpy().astype(np.int64)
    ids = np.array(table["end_to_end_id"].to_pylist(), dtype=str)
    columns = [table[FEATURE_PREFIX + name].cast(pa.float32()).to_numpy() for name in FEATURE_NAMES]
    found = CauseRows(
        ids,
        at,
        np.array(table["publisher"].to_pylist(), dtype=str),
        np.array(table["initiation_form"].to_pylist(), dtype=str),
        np.array(table["side"].to_pylist(), dtype=str) == "PAYEE",
        table["brl"].to_numpy().astype(np.float64),
        np.stack(columns, axis=1).astype(np.float32),
    )
    return found.take(np.lexsort((ids, at)))
