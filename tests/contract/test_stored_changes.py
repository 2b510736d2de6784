"""Changes of history selected from BigQuery are those that happened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract import tables as contract
from shared.contract.rows import Record
from shared.replay.arrow_columns import floats, whole
from shared.replay.changes import ASK_COLUMNS, CHANGE_COLUMNS, ChangeQueue
from shared.replay.tables import StoredTables, Stretch
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.query_results import QueryResults
from tests.unit.served import Served, Told, received_late
from tests.unit.streams import DEVICES, event

EVENTS = [
    event(
        *(i % 4, (i * 3 + 1) % 5, (i * 37) % 101, 1000 + 77 * i),
        end_to_end_id=f"E12345678202611241200{i:011d}",
        device_registered=i % 3 > 0,
        device_id=DEVICES[1],
    )
    for i in range(12)
]
BACK = [f"D123456782026112114320000000000{i}" for i in range(2)]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("changes")
    with local_bigquery(state, state) as local:
        yield local


def serve(setting: str) -> Served:
    """Serve Pix of which some are scored by both sides, returned before they settle, or refused and settled."""
    served = Served(setting)
    served.score(EVENTS[:4], ["APPROVE", "HOLD", "APPROVE", "REJECT"])
    mirror = [msgspec.structs.replace(EVENTS[i], side="PAYEE") for i in (0, 2)]
    served.score([EVENTS[4], *mirror, EVENTS[5]], ["APPROVE", "REJECT", "APPROVE", "APPROVE"])
    early = [
        *(Told(0, 1, "RETURNED", share=0.3, return_id=BACK[0]), Told(0, 1, "SETTLED", 60)),
        *(Told(0, 4, "RELEASED"), Told(0, 4, "BLOCKED"), Told(0, 2, "REJECTED"), Told(0, 2, "SETTLED", 9)),
    ]
    for each in early:
        served.tell(each)
    served.score(EVENTS[6:], ["APPROVE", "REJECT"] * 3)
    for number in range(8, 12):  # the indexes of rows: after the mirrors
        served.tell(Told(0, number, "SETTLED", number))
    served.tell(Told(0, 1, "RETURNED", share=1.0, return_id=BACK[1]))
    served.tell(Told(0, 9, "RETURNED", share=0.5))
    served.tell(Told(0, 3, "EXPIRED"))
    return served


def store(local: LocalBigQuery, dataset: str, served: Served) -> StoredTables:
    """Store all rows, each twice, the second time as a redelivery."""
    make(local.client, dataset, contract.tables(), contract.views(PROJECT, dataset, 87))
    again = [msgspec.structs.replace(row, received_at=row.received_at + 1000) for row in served.outcomes]

    async def append() -> None:
        service = WriteService.connect(local.server.grpc_endpoint)
        rows: list[tuple[str, list[Record]]] = [
            ("score_events", [*served.rows, *served.rows]),
            ("outcomes", [*served.outcomes, *again]),
        ]
        for name, several in rows:
            table = BigQueryTable(service, PROJECT, dataset, contract.table(name), 60.0, Metrics())
            assert await table.append(several) == []

    asyncio.run(append())
    return StoredTables(QueryResults(local), PROJECT, dataset)


def plain(rows: pa.Table) -> list[dict[str, Any]]:
    """Return changes with times in microseconds and amounts in centavos, as the queue of changes reads them."""
    found = rows.select((*CHANGE_COLUMNS, *ASK_COLUMNS))
    for name in ("at", "initiated_at", "scored_at"):
        values = pa.array(whole(found[name], 0))
        found = found.set_column(found.column_names.index(name), name, values)
    for name in ("amount", "returned"):
        values = pa.array(np.rint(100 * np.nan_to_num(floats(found[name]))))
        found = found.set_column(found.column_names.index(name), name, values)
    return [*found.to_pylist()]


@pytest.mark.parametrize("setting", ["assumed", "published"])
def test_stored_changes_are_those_that_happened(setting: str, local: LocalBigQuery) -> None:
    served = serve(setting)
    found, expected = pa.concat_tables(store(local, setting, served).changes()), served.changes()
    assert {row["status"] for row in plain(expected)} >= {"DECIDED", "SETTLED", "RETURNED", "REJECTED"}
    assert {row["counted"] for row in plain(expected)} == {True, False}
    assert plain(found) == plain(expected)
    one, other = ChangeQueue([found]).rest(), ChangeQueue([expected]).rest()
    for name in ("keys", "at", "weights", "marks"):
        np.testing.assert_array_equal(getattr(one.facts, name), getattr(other.facts, name))


@pytest.mark.parametrize("setting", ["assumed", "published"])
def test_early_returns_that_were_received_late_weigh_on_the_same_changes(setting: str, local: LocalBigQuery) -> None:
    """Batches of outcomes overlap, so the times at which messages were read are not the order of counting."""
    served = serve(setting)
    expected = ChangeQueue([served.changes()]).rest()
    served.outcomes[:] = [received_late(row) for row in served.outcomes]
    found = ChangeQueue([pa.concat_tables(store(local, f"late_{setting}", served).changes())]).rest()
    np.testing.assert_array_equal(found.facts.keys, expected.facts.keys)
    np.testing.assert_array_equal(found.facts.weights, expected.facts.weights)


def test_changes_before_a_place_are_the_first_ones(local: LocalBigQuery) -> None:
    served = serve("published")
    stored = StoredTables(QueryResults(local), PROJECT, "published")
    places = served.changes()["place"].to_pylist()
    found = pa.concat_tables(stored.changes(Stretch(until=places[4] - 1)))
    assert found["place"].to_pylist() == [place for place in places if place < places[4]]


def test_of_copies_with_one_place_and_time_the_first_claimed_is_replayed(local: LocalBigQuery) -> None:
    served = serve("assumed")
    served.rows = [
        msgspec.structs.replace(row, claim_number=number, delivery_attempt=number)
        for number in (2, 1)
        for row in served.rows
    ]
    data = store(local, "copies", served)
    assert data.rows(data._ordered("TRUE"))["claim_number"].to_pylist() == [1] * len(EVENTS)
