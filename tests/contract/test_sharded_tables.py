"""The tables of a history on several shards are replayed by shard: features, records and snapshots."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract import tables as contract
from shared.contract.rows import Record
from shared.features.shards import Shard
from shared.features.state import State
from shared.replay.audit import audit
from shared.replay.changes import ChangeQueue
from shared.replay.run import ReplayRun, Sinks
from shared.replay.sharded import TablesOfShards
from shared.replay.tables import StoredTables
from shared.scoring.rules import Rules
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.query_results import QueryResults
from tests.contract.test_stored_changes import plain
from tests.unit.replays import records
from tests.unit.sharded import ShardedBank, ShardedMemory, live

SHARDS = 3
LAST = 2**62


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("shards")
    with local_bigquery(state, state) as local:
        yield local


class World:
    """A dataset, and the bank whose rows it holds."""

    def __init__(self, local: LocalBigQuery, dataset: str, seed: int) -> None:
        self._local, self._dataset = local, dataset
        make(local.client, dataset, contract.tables(), contract.views(PROJECT, dataset, 87))
        chance = random.Random(seed)
        self.memory = ShardedMemory(SHARDS, chance)
        self.bank = ShardedBank(self.memory, chance)
        self.tables = StoredTables.each(QueryResults(local), PROJECT, dataset, SHARDS)

    def append(self, name: str, rows: list[Record]) -> None:
        async def send() -> None:
            service = WriteService.connect(self._local.server.grpc_endpoint)
            table = BigQueryTable(service, PROJECT, self._dataset, contract.table(name), 60.0, Metrics())
            assert await table.append(rows) == []

        asyncio.run(send())

    def store(self) -> None:
        """Store all rows; those of Pix and outcomes twice, the second time as a redelivery."""
        again = [msgspec.structs.replace(row, received_at=row.received_at + 1) for row in self.bank.outcomes]
        self.append("score_events", [*self.bank.rows, *self.bank.rows])
        self.append("outcomes", [*self.bank.outcomes, *again])
        self.append("feedback", [each.row for each in self.bank.reports])


@pytest.fixture(scope="module")
def world(local: LocalBigQuery) -> World:
    found = World(local, "sharded", 5)
    asyncio.run(live(found.bank))
    found.store()
    return found


@pytest.mark.parametrize("shard", Shard.each(SHARDS))
def test_stored_changes_are_those_that_a_shard_counted(world: World, shard: Shard) -> None:
    found = pa.concat_tables(world.tables[shard.number].changes(LAST))
    expected = world.bank.changes(shard)
    assert plain(found) == plain(expected)
    one, other = ChangeQueue([found], shard).rest(), ChangeQueue([expected], shard).rest()
    assert one.facts.keys.tolist() == other.facts.keys.tolist()
    assert one.facts.weights.tolist() == other.facts.weights.tolist()


def test_served_features_equal_replayed_ones(world: World) -> None:
    found = audit(world.tables, None, State.empty(), lambda *_: None)
    assert (found["outcome"], found["features"], found["compared"]) == ("EQUAL", {}, len(world.bank.rows))
    assert found["skipped"] == {"without_history": 0, "without_a_part": 0}
    assert (found["duplicates"], found["replayed"]) == (len(world.bank.rows), len(world.bank.rows))
    assert found["gaps"]["transactions"] == 0


def test_a_replay_ends_in_the_records_of_all_shards(world: World, tmp_path: Path) -> None:
    staged = TablesOfShards(world.tables, "run", counted_only=True)
    staged.stage()
    source = staged.source(tmp_path)
    run = ReplayRun(source, Sinks(None, None, None), Rules.load(), 1)
    run.run(lambda _: None)
    staged.clear()
    assert (run.transactions, source.reports > 0) == (len(world.bank.rows), True)
    assert run.state().places == tuple(max(places) for places in places_of(world.bank))
    ours, theirs = (
        sorted(each[:2] for each in records(state)) for state in (run.state(), world.memory.records.state())
    )
    assert ours == theirs


def places_of(bank: ShardedBank) -> list[list[int]]:
    """Return the places of each shard in all rows."""
    every = [place for row in bank.rows for place in (row.history_sequence, *row.visited)]
    every += [place for row in bank.rows for place in (row.decided_sequence, *row.decided_visited)]
    every += [place for row in bank.outcomes for place in (row.history_sequence, *row.visited)]
    every += [place for each in bank.reports for place in each.places]
    return [shard.places([place for place in every if place]) for shard in Shard.each(SHARDS)]
