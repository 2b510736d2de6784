"""Rows of `pix.score_events` and `pix.feedback` on their way to a replay."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.adapters.arrow_columns import EVENT_COLUMNS, whole
from shared.adapters.bigquery_query import BigQueryExports, new_prefix
from shared.contract.fields import Verdict
from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.features.verdicts import Said
from shared.learning.replay import CHUNK
from shared.learning.reported import UNPLACED, Reported
from shared.ports import Parties

REPORT_COLUMNS = ("end_to_end_id", "reported_at", "received_at", "verdict", "history_sequence")
PARTIES = ("payer_id", "payee_id", "device_id")
ORDER_COLUMNS = ("scored_at", "history_sequence")
_NEVER = np.iinfo(np.int64).min


class Dataset:
    """The tables of one dataset, read by way of the bucket."""

    def __init__(self, exports: BigQueryExports, project: str, dataset: str) -> None:
        self._exports = exports
        self.score_events = f"`{project}.{dataset}.score_events`"
        self.feedback = f"`{project}.{dataset}.feedback`"

    def rows(self, sql: str) -> pa.Table:
        """Return the rows of a query that has few. Raises Unavailable, Misconfigured."""
        with TemporaryDirectory(prefix="rows-") as folder:
            return pa.concat_tables(pq.read_table(file) for file in self._exports.export(sql, Path(folder)))

    def batches(self, sql: str) -> Iterator[pa.Table]:
        """Yield the rows of a query in its order, CHUNK at a time. Raises Unavailable, Misconfigured."""
        prefix = new_prefix()
        with TemporaryDirectory(prefix="rows-") as folder, contextlib.ExitStack() as after:
            after.callback(self._exports.clear, prefix)
            self._exports.stage(sql, prefix)
            yield from batches(self._exports.staged(prefix, Path(folder)))

    def reports(self, where: str = "TRUE") -> list[Reported]:
        """Return reports, each with the parties of its Pix; one about an unknown Pix is left out."""
        columns = ", ".join(REPORT_COLUMNS).replace("received_at", "MIN(received_at) AS received_at")
        return reported(
            self.rows(
                f"SELECT reports.*, {', '.join(PARTIES)} FROM ("  # noqa: S608 (names of our own)
                f"SELECT {columns} FROM {self.feedback} WHERE {where} "
                "GROUP BY end_to_end_id, reported_at, verdict, history_sequence) AS reports "
                f"JOIN (SELECT end_to_end_id, {', '.join(f'ANY_VALUE({name}) AS {name}' for name in PARTIES)} "
                f"FROM {self.score_events} GROUP BY end_to_end_id) AS scored "
                "ON scored.end_to_end_id = reports.end_to_end_id"
            )
        )


def batches(files: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of Parquet files, CHUNK at a time. Raises Misconfigured."""
    for file in files:
        with contextlib.closing(_opened(file)) as source:
            for batch in source.iter_batches(CHUNK, columns=columns):
                yield pa.Table.from_batches([batch])


def reported(rows: pa.Table) -> list[Reported]:
    """Return reports from rows with REPORT_COLUMNS and PARTIES."""
    names = ("end_to_end_id", *PARTIES, "verdict")
    times = (whole(rows["reported_at"], 0), whole(rows["received_at"], 0), whole(rows["history_sequence"], UNPLACED))
    return [
        Reported(id_, Parties(payer, payee, device), Said(Verdict(verdict), reported_at), received_at, sequence)
        for id_, payer, payee, device, verdict, reported_at, received_at, sequence in zip(
            *(rows[name].to_pylist() for name in names), *(time.tolist() for time in times), strict=True
        )
    ]


def columns(features: bool) -> str:
    """Return what a query selects of `score_events`: facts and order, or all but what a redelivery may change."""
    if not features:
        return ", ".join((*EVENT_COLUMNS, *ORDER_COLUMNS))
    return ", ".join(column.name for column in table("score_events").schema if column.name != "published_at")


def timestamp(moment: dt.datetime) -> str:
    """Return a moment in GoogleSQL."""
    return f"TIMESTAMP '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00'"


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise Misconfigured(f"{file} cannot be read as Parquet ({type(error).__name__})") from error
