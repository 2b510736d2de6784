"""BigQuery as the official clients see it: tables, appended rows, queries, and Parquet in Cloud Storage."""

import datetime as dt
import io
import math
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.storage import Bucket

from infra.deploy.migrate import NO_RETRY, make
from infra.local.bigquery.launch import BigQueryServer
from shared.contract import tables as contract
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery, storage_client
from tests.contract.rows import Field, Writer

AT = dt.datetime(2026, 11, 20, 14, 32, 5, 123456, tzinfo=dt.UTC)
MICROS = round(AT.timestamp() * 1_000_000)
FIELDS = {
    "id": (Field.TYPE_STRING, False),
    "at": (Field.TYPE_INT64, False),
    "amount": (Field.TYPE_STRING, False),
    "opened": (Field.TYPE_INT32, False),
    "late": (Field.TYPE_BOOL, False),
    "reasons": (Field.TYPE_STRING, True),
    "f1": (Field.TYPE_DOUBLE, False),
}
SCHEMA = [
    bigquery.SchemaField("id", "STRING", "REQUIRED"),
    bigquery.SchemaField("at", "TIMESTAMP", "REQUIRED"),
    bigquery.SchemaField("amount", "NUMERIC"),
    bigquery.SchemaField("opened", "DATE"),
    bigquery.SchemaField("late", "BOOL"),
    bigquery.SchemaField("reasons", "STRING", "REPEATED"),
    bigquery.SchemaField("f1", "FLOAT64"),
]


class World:
    """A server with a dataset, its clients, and helpers of the tests."""

    def __init__(self, local: LocalBigQuery) -> None:
        self.server, self.client = local
        self.client.create_dataset("pix", retry=NO_RETRY)

    def table(self, schema: list[bigquery.SchemaField]) -> str:
        name = f"t_{uuid.uuid4().hex}"
        table = bigquery.Table(f"{PROJECT}.pix.{name}", schema=schema)
        self.client.create_table(table, retry=NO_RETRY)
        return name

    def query(self, sql: str) -> list[dict[str, Any]]:
        job = self.client.query(sql, retry=NO_RETRY, job_retry=NO_RETRY)
        return [dict(row) for row in job.result(retry=NO_RETRY, job_retry=NO_RETRY)]

    def writer(self, table: str, fields: dict[str, tuple[int, bool]] = FIELDS) -> Writer:
        path = f"projects/{PROJECT}/datasets/pix/tables/{table}"
        return Writer(self.server.grpc_endpoint, path, fields)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def world(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with local_bigquery(tmp_path_factory.mktemp("bigquery"), objects) as local:
        yield World(local)


@pytest.fixture(scope="module")
def bucket(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with storage_client(objects, tmp_path_factory.mktemp("storage") / "log") as client:
        yield client.create_bucket("snapshots")


def appended(world: World, table: str, rows: list[dict[str, Any]]) -> str:
    writer = world.writer(table)
    error = writer.append(rows)
    writer.close()
    return error


def test_every_column_type_of_the_product_is_appended_and_read(world: World) -> None:
    table = world.table(SCHEMA)
    whole = {
        "id": "é",
        "at": MICROS,
        "amount": "150.01",
        "opened": 20412,
        "late": True,
        "reasons": ["a", "b"],
        "f1": 0.1,
    }
    assert appended(world, table, [whole, {"id": "empty", "at": 0}]) == ""
    empty, read = world.query(f"SELECT * FROM pix.{table} ORDER BY id")
    assert read == {
        "id": "é",
        "at": AT,
        "amount": Decimal("150.01"),
        "opened": dt.date(2025, 11, 20),
        "late": True,
        "reasons": ["a", "b"],
        "f1": 0.1,
    }
    assert (empty["amount"], empty["opened"], empty["late"], empty["reasons"], empty["f1"]) == (
        None,
        None,
        None,
        [],
        None,
    )


def test_nan_is_stored_as_nan_and_not_as_null(world: World) -> None:
    table = world.table(SCHEMA)
    appended(world, table, [{"id": "a", "at": 0, "f1": math.nan}])
    [row] = world.query(f"SELECT f1, IS_NAN(f1) AS is_nan FROM pix.{table}")
    assert math.isnan(row["f1"])
    assert row["is_nan"] is True


def test_rows_for_a_missing_table_are_refused(world: World) -> None:
    with pytest.raises(NotFound):
        appended(world, "ghost", [{"id": "a", "at": 0}])


def test_a_view_keeps_one_row_of_each_id_with_its_features_as_a_record(world: World) -> None:
    table = world.table(SCHEMA)
    appended(world, table, [{"id": "a", "at": at, "f1": float(at)} for at in (3, 1, 2)])
    view = bigquery.Table(f"{PROJECT}.pix.v_{table}")
    view.view_query = (
        f"SELECT id, STRUCT(f1 AS f1) AS features FROM `{PROJECT}.pix.{table}` "
        "WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) = 1"
    )
    world.client.create_table(view, retry=NO_RETRY)
    assert world.query(f"SELECT * FROM pix.v_{table}") == [{"id": "a", "features": {"f1": 1.0}}]


def test_concurrent_appends_and_queries_do_not_disturb_each_other(world: World) -> None:
    table = world.table(SCHEMA)
    done = threading.Event()

    def append(writer_number: int) -> list[str]:
        rows = [{"id": f"{writer_number}", "at": row} for row in range(10)]
        return [appended(world, table, rows) for _ in range(20)]

    def read() -> set[str]:
        seen: set[str] = set()
        while not done.is_set():
            rows = world.query(f"SELECT id FROM pix.{table} WHERE id = '1' LIMIT 5")
            seen |= {row["id"] for row in rows}
        return seen

    with ThreadPoolExecutor(4) as pool:
        reader = pool.submit(read)
        try:
            errors = [error for result in pool.map(append, range(3)) for error in result]
        finally:
            done.set()
        assert reader.result() <= {"1"}
    assert set(errors) == {""}
    assert world.query(f"SELECT COUNT(*) AS n FROM pix.{table}") == [{"n": 600}]


def test_open_streams_do_not_block_another(world: World) -> None:
    table, until = world.table(SCHEMA), threading.Event()
    writers = [world.writer(table) for _ in range(40)]
    try:
        for number, writer in enumerate(writers):
            assert writer.append_and_stay([{"id": str(number), "at": MICROS}], until) == ""
    finally:
        until.set()
        for writer in writers:
            writer.close()


def test_an_exported_snapshot_is_read_from_storage(world: World, bucket: Bucket) -> None:
    table = world.table(SCHEMA)
    appended(world, table, [{"id": "a", "at": MICROS, "amount": "1.50", "f1": 2.5, "reasons": ["x"]}])
    world.query(
        f"EXPORT DATA OPTIONS (uri = 'gs://{bucket.name}/export/*.parquet', format = 'PARQUET', overwrite = TRUE) "
        f"AS SELECT * FROM pix.{table}"
    )
    [blob] = bucket.list_blobs(prefix="export/")
    rows = pq.read_table(io.BytesIO(blob.download_as_bytes())).to_pylist()
    assert [(row["id"], row["at"], row["amount"], row["f1"], row["reasons"]) for row in rows] == [
        ("a", AT, Decimal("1.50"), 2.5, ["x"])
    ]


def test_a_parquet_file_in_storage_is_loaded_into_a_table(world: World, bucket: Bucket) -> None:
    table, count, width = world.table(wide_schema(100)), 20_000, 100
    bucket.blob("bulk/rows.parquet").upload_from_string(wide_parquet(count, width))
    started = time.monotonic()
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    uri = f"gs://{bucket.name}/bulk/rows.parquet"
    world.client.load_table_from_uri(uri, f"{PROJECT}.pix.{table}", job_config=config, retry=NO_RETRY).result(
        retry=NO_RETRY
    )
    print(f"loaded {count} rows of {width} columns in {time.monotonic() - started:.2f} s")
    [row] = world.query(f"SELECT COUNT(*) AS n, SUM(f99) AS total FROM pix.{table}")
    assert row == {"n": count, "total": count * 99.0}


def wide_schema(width: int) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField("id", "STRING")] + [bigquery.SchemaField(f"f{i}", "FLOAT64") for i in range(width)]


def wide_parquet(count: int, width: int) -> bytes:
    columns = {"id": [str(row) for row in range(count)]} | {f"f{i}": np.full(count, float(i)) for i in range(width)}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def test_tables_and_views_are_made_unless_they_exist(world: World) -> None:
    views = contract.views(PROJECT, "product", 87)
    make(world.client, "product", contract.tables(), views)
    world.client.delete_table(f"{PROJECT}.product.feedback", retry=NO_RETRY)
    make(world.client, "product", contract.tables(), views)
    made = {table.table_id for table in world.client.list_tables("product", retry=NO_RETRY)}
    assert made == {*contract.TABLES, *contract.VIEWS}
    for view in contract.VIEWS:
        assert world.query(f"SELECT * FROM product.{view}") == []
    kept = world.client.get_table(f"{PROJECT}.product.score_events", retry=NO_RETRY)
    assert kept.time_partitioning.field == "initiated_at"


def test_persistent_data_survives_a_restart(tmp_path: Path) -> None:
    for expected in (0, 1):
        with local_bigquery(tmp_path, tmp_path, persistent=True) as (server, client):
            make(client, "pix", contract.tables())
            [row] = client.query(
                "SELECT COUNT(*) AS n FROM pix.feedback", retry=NO_RETRY, job_retry=NO_RETRY
            ).result()
            assert row.n == expected
            append_feedback(server)


def append_feedback(server: BigQueryServer) -> None:
    table = f"projects/{PROJECT}/datasets/pix/tables/feedback"
    writer = Writer(server.grpc_endpoint, table, {"report_id": (Field.TYPE_STRING, False)})
    assert writer.append([{"report_id": "r"}]) == ""
    writer.close()
