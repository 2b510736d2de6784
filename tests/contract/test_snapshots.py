"""A snapshot of history with the rows after it equals a full replay of the tables, however late rows come."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract import tables as contract
from shared.contract.rows import Record
from shared.features.state import State
from shared.replay.continuation import Continued, Taken, continued, start_of, take
from shared.replay.mark import CountedPlaces, Patience
from shared.replay.snapshots import SnapshotRetention, Snapshots
from shared.replay.tables import StoredTables
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.query_results import QueryResults
from tests.unit.replays import records
from tests.unit.report_states import med
from tests.unit.served import Served, Told
from tests.unit.streams import DEVICES, event

COUNT, BATCH = 36, 3
LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
WAITING = Patience(dt.timedelta(0), dt.timedelta(days=365 * 200))
"""Rows are old enough at once, and a missing place is waited for."""
NUMBERS = itertools.count()


class World:
    """A dataset to which rows are appended as they come, and the snapshots of its history."""

    def __init__(self, local: LocalBigQuery) -> None:
        self._local, self._name = local, f"world_{next(NUMBERS)}"
        make(local.client, self._name, contract.tables(), contract.views(PROJECT, self._name, 87))
        self.tables = StoredTables(QueryResults(local), PROJECT, self._name)
        self.blobs = MemoryBlobs()
        self.snapshots = Snapshots(self.blobs, self.blobs, part_bytes=2_000)

    def append(self, name: str, rows: Sequence[Record]) -> None:
        async def send() -> None:
            service = WriteService.connect(self._local.server.grpc_endpoint)
            table = BigQueryTable(service, PROJECT, self._name, contract.table(name), 60.0, Metrics())
            assert await table.append(rows) == []

        if rows:
            asyncio.run(send())

    def take(self, now: dt.datetime = LATER, patience: Patience = WAITING) -> Taken:
        return take(self.snapshots, self.tables, patience, SnapshotRetention(), now, lambda *_: None)

    def history(self) -> Continued:
        """Return history as a repair rebuilds it."""
        start = start_of(self.snapshots, self.snapshots.listing().snapshots, CountedPlaces(self.tables))
        return continued(self.tables, start.state, lambda *_: None)

    def replayed(self) -> Continued:
        """Return history as a full replay rebuilds it."""
        return continued(self.tables, State.empty(), lambda *_: None)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("snapshots")
    with local_bigquery(state, state) as local:
        yield local


def serve(outcomes: Sequence[Told], said: Sequence[tuple[int, int, str]], setting: str) -> Served:
    """Serve Pix among few accounts, with outcomes and reports between them."""
    served = Served(setting)
    events = [
        event(
            *(i % 5, (i * 3 + 1) % 5, (i * 37) % 101, 1000 + 77 * i),
            end_to_end_id=f"E12345678202611241200{i:011d}",
            device_registered=i % 3 > 0,
            device_id=DEVICES[1],
        )
        for i in range(COUNT)
    ]
    for start in range(0, COUNT, BATCH):
        for each in outcomes:
            if start <= each.after < start + BATCH and each.about < start:
                served.tell(each)
        for number, (after, about, verdict) in enumerate(said):
            if start <= after < start + BATCH and about < start:
                served.report(med(verdict, number, f"m-{about}", events[about].end_to_end_id))
        batch = events[start : start + BATCH]
        served.score(batch, [("APPROVE", "HOLD", "APPROVE")[(start + i) % 3] for i in range(len(batch))])
    return served


def rows_of(served: Served) -> list[tuple[int, str, Record]]:
    """Return all rows with the place of the last change that each tells, and their table."""
    found: list[tuple[int, str, Record]] = [
        (max(row.history_sequence or 0, row.decided_sequence or 0), "score_events", row) for row in served.rows
    ]
    found += [(row.history_sequence or 0, "outcomes", row) for row in served.outcomes]
    found += [(each.row.history_sequence or 0, "feedback", each.row) for each in served.reports]
    return sorted(found, key=lambda each: each[0])


def same(one: Continued, other: Continued) -> None:
    assert sorted(records(one.state)) == sorted(records(other.state))
    assert one.state.sequence == other.state.sequence
    assert one.values == other.values


def append(world: World, rows: Sequence[tuple[int, str, Record]]) -> None:
    for table in ("score_events", "outcomes", "feedback"):
        world.append(table, [row for _, name, row in rows if name == table])


TOLD = [
    *(Told(9, 1, "RETURNED", share=0.3), Told(12, 1, "SETTLED", 60), Told(21, 3, "REJECTED")),
    *(Told(24, 3, "SETTLED", 9), Told(27, 6, "RETURNED", 90, 1.0), Told(33, 13, "SETTLED")),
]
SAID = [(15, 3, "AGREED"), (30, 3, "CANCELLED"), (31, 12, "AGREED")]


def test_a_snapshot_and_the_rows_after_it_equal_a_full_replay(local: LocalBigQuery) -> None:
    """Rows come in three parts, and some of the first parts only with the last one."""
    world, rows = World(local), rows_of(serve(TOLD, SAID, "assumed"))
    third, held = len(rows) // 3, {len(rows) // 3 + 2, len(rows) // 2}
    append(world, rows[:third])
    assert world.take().snapshot
    append(world, [rows[i] for i in range(third, 2 * third) if i not in held])
    taken = world.take()
    assert taken.snapshot
    assert taken.snapshot.place < rows[third + 2][0], "it stops before the first row that is missing"
    append(world, [rows[i] for i in range(third, len(rows)) if i >= 2 * third or i in held])
    expected = world.replayed()
    found = world.history()
    same(found, expected)
    assert 0 < found.transactions < expected.transactions


def test_a_row_that_comes_too_late_makes_the_snapshots_after_it_unusable(local: LocalBigQuery) -> None:
    world, rows = World(local), rows_of(serve(TOLD, SAID, "published"))
    half = len(rows) // 2
    append(world, rows[: half - 3])
    first = world.take().snapshot
    append(world, rows[half - 2 :])
    waited = world.take(patience=Patience(dt.timedelta(0), dt.timedelta(0)))
    assert waited.snapshot
    assert waited.missing
    assert waited.snapshot.place > rows[half - 3][0]
    append(world, rows[half - 3 : half - 2])
    places = CountedPlaces(world.tables)
    assert start_of(world.snapshots, world.snapshots.listing().snapshots, places).snapshot == first
    same(world.history(), world.replayed())
