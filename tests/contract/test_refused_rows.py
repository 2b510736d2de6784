"""A table refuses a row alone: the others are stored, in memory and in BigQuery."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from infra.deploy.migrate import NO_RETRY, make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.memory.serving import MemoryTable
from shared.contract.rows import OutcomeRow, Record
from shared.contract.tables import table, tables
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.waiting import PATIENCE

AT = 1_795_185_126_000_000
TOO_MUCH = 10**40
"""More than NUMERIC holds; the emulator then refuses the request, and names no row."""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    with local_bigquery(tmp_path_factory.mktemp("bigquery"), tmp_path_factory.mktemp("objects")) as local:
        local.client.create_dataset("pix", retry=NO_RETRY)
        make(local.client, "pix", tables(), [])
        yield local


def row(name: str, amount: int | None = None) -> OutcomeRow:
    return OutcomeRow(f"E{name}", "PAYER", "SETTLED", AT, AT, amount=amount)


def in_memory(rows: Sequence[Record]) -> tuple[list[int], list[str]]:
    target = MemoryTable()
    target.refuses = lambda row: row.columns().get("amount") == TOO_MUCH
    refused = asyncio.run(target.append(rows))
    return sorted(refused), sorted(row.columns()["end_to_end_id"] for row in target.rows)


class Appender(NamedTuple):
    """A table of outcomes on one event loop, as gRPC wants it."""

    runner: asyncio.Runner
    table: BigQueryTable
    local: LocalBigQuery

    def __call__(self, rows: Sequence[Record]) -> tuple[list[int], list[str]]:
        refused = self.runner.run(self.table.append(rows))
        job = self.local.client.query("SELECT end_to_end_id FROM pix.outcomes", retry=NO_RETRY, job_retry=NO_RETRY)
        found = job.result(retry=NO_RETRY, job_retry=NO_RETRY, timeout=PATIENCE)
        wanted = {row.columns()["end_to_end_id"] for row in rows}
        return sorted(refused), sorted(row.end_to_end_id for row in found if row.end_to_end_id in wanted)


@pytest.fixture(scope="module")
def in_bigquery(local: LocalBigQuery) -> Iterator[Appender]:
    async def opened() -> BigQueryTable:
        service = WriteService.connect(local.server.grpc_endpoint)
        return BigQueryTable(service, PROJECT, "pix", table("outcomes"), PATIENCE)

    with asyncio.Runner() as runner:
        appender = Appender(runner, runner.run(opened()), local)
        yield appender
        runner.run(appender.table.close())


@pytest.mark.parametrize("kind", ["memory", "bigquery"])
@pytest.mark.parametrize("faulty", [[], [0], [6], [2, 3], [0, 5], list(range(7))])
def test_each_row_that_the_table_takes_is_stored_once(in_bigquery: Appender, kind: str, faulty: list[int]) -> None:
    names = [f"{faulty}{i}" for i in range(7)]
    rows = [row(name, TOO_MUCH if i in faulty else 100) for i, name in enumerate(names)]
    found = in_bigquery(rows) if kind == "bigquery" else in_memory(rows)
    assert found == (faulty, [f"E{name}" for i, name in enumerate(names) if i not in faulty])
