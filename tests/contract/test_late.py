"""The late outcomes to count are the same in BigQuery and in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.late import BigQueryLate
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.memory.late import MemoryLate
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.contract.rows import LateRow, OutcomeRow, Record
from shared.ports.late import LatePeriod
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
SINCE = NOON - dt.timedelta(days=21)
HOUR = 3_600_000_000


def rows_of(chance: random.Random) -> list[LateRow]:
    """Return outcomes that came once or twice, with attempts at some of them."""
    rows = []
    for number in range(60):
        day = chance.randrange(1, 20)
        id_ = f"E1234567{chance.randrange(10)}202611{day:02d}1200{number:011d}"
        received = micros(NOON) - chance.randrange(1, 30 * 24) * HOUR
        back: dict[str, Any] = (
            {"return_id": f"D{number}", "amount": 100 + number, "reason": "MD06"} if number % 2 else {}
        )
        own = OutcomeRow(id_, "PAYER", "RETURNED" if back else "SETTLED", received - HOUR, received, **back)
        rows += [LateRow.of(own)] * chance.choice([1, 2])
        tries = [received + chance.randrange(1, 9) * HOUR for _ in range(chance.choice([0, 0, 1, 2]))]
        rows += [LateRow.of(own, at, chance.choice([None, None, True])) for at in tries]
    chance.shuffle(rows)
    return rows


ROWS = rows_of(random.Random(5))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("late")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", [contract.table("late_outcomes")], [])
        asyncio.run(append(local, ROWS))
        yield local


async def append(local: LocalBigQuery, rows: list[LateRow]) -> None:
    service = WriteService.connect(local.server.grpc_endpoint)
    table = BigQueryTable(service, PROJECT, "pix", contract.table("late_outcomes"), 60.0, Metrics())
    records: list[Record] = [*rows]
    assert await table.append(records) == []
    await table.close()


@pytest.mark.parametrize("hours", [0, 1, 5, 1_000])
@pytest.mark.parametrize("now", [NOON, NOON + dt.timedelta(days=2)], ids=["noon", "later"])
def test_the_same_outcomes_are_to_be_counted(local: LocalBigQuery, hours: int, now: dt.datetime) -> None:
    period = LatePeriod(SINCE, now, hours * 3_600.0)
    expected = MemoryLate(ROWS).waiting(period, 1_000)
    stored = BigQueryLate(BigQueryQueries(local.client), PROJECT, "pix")
    assert stored.waiting(period, 1_000) == expected
    assert stored.waiting(period, 5) == expected[:5]
    assert bool(expected) is (hours < 1_000)


def test_outcomes_of_a_day_of_pix_are_together(local: LocalBigQuery) -> None:
    stored = BigQueryLate(BigQueryQueries(local.client), PROJECT, "pix")
    days = [row.end_to_end_id[9:17] for row in stored.waiting(LatePeriod(SINCE, NOON, 0), 1_000)]
    assert days == sorted(days)
    assert len(set(days)) > 3
