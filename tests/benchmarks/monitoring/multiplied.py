"""A day of many rows in the local BigQuery: the rows of a small one, multiplied there by SQL."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery, storage

from infra.deploy.migrate import make
from infra.local.cloud import LocalCloud
from shared.adapters.bigquery.load import BulkLoad
from shared.contract import tables as contract
from tests.benchmarks.monitoring.seed import ID_COPY, ID_KEPT, ID_PIX

SCRATCH = "seed"
"""Dataset of the rows to multiply."""
PASS_ROWS = 250_000
"""Rows of a statement: some 0.5 GB with 194 features."""


def multiply(
    cloud: LocalCloud, tables: Mapping[str, pa.Table], copies: int, reported: int, told: Callable[[int], None]
) -> None:
    """Append `copies` of the tables' rows to those of `pix`; one copy in `reported` has reports.

    `told` hears of the number of copies that are there.
    """
    client = cloud.bigquery()
    make(client, SCRATCH, [contract.table(name) for name in tables])
    for name, table in tables.items():
        _load(cloud, client, name, table)
    step = max(1, PASS_ROWS // len(tables["score_events"]))
    for start in range(0, copies, step):
        end = min(start + step, copies)
        for name in tables:
            client.query(_statement(cloud.settings.dataset, name, start, end, reported)).result()
        told(end)


def _load(cloud: LocalCloud, client: bigquery.Client, name: str, table: pa.Table) -> None:
    """Fill the table to multiply."""
    settings, file = cloud.settings, io.BytesIO()
    pq.write_table(table, file)
    bucket = storage.Client(project=settings.project).bucket(settings.data_bucket)
    load = BulkLoad(client, bucket, f"{settings.project}.{SCRATCH}.{name}", f"{SCRATCH}-{name}")
    load.put(0, file.getvalue())
    load.finish(1)


def _statement(dataset: str, name: str, start: int, end: int, reported: int) -> str:
    """Return the statement that appends copies [start, end) of a table's rows."""
    number = f"LPAD(CAST(copy AS STRING), {ID_COPY}, '0')"
    own = {
        "end_to_end_id": f"CONCAT(SUBSTR(end_to_end_id, 1, {ID_KEPT + ID_PIX}), {number})",
        "report_id": "CONCAT(report_id, '-', CAST(copy AS STRING))",
    }
    columns = [column.name for column in contract.table(name).schema]
    chosen = ", ".join(f"{own[column]} AS {column}" if column in own else f"`{column}`" for column in columns)
    which = f"WHERE MOD(copy, {reported}) = 0" if name == "feedback" else ""
    return (
        f"INSERT INTO {dataset}.{name} ({', '.join(f'`{column}`' for column in columns)}) "
        f"SELECT {chosen} FROM {SCRATCH}.{name} CROSS JOIN UNNEST(GENERATE_ARRAY({start}, {end - 1})) AS copy {which}"
    )
