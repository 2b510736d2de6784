"""The tables of a history on several shards are replayed by shard: features, records and snapshots."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from redis import Redis

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.memory.operations import MemoryLostPlaces
from shared.adapters.memory.serving import MemoryBlobs
from shared.adapters.valkey.store import ValkeyStore
from shared.contract import tables as contract
from shared.contract.rows import Record
from shared.features.columns import Events
from shared.features.life import UNCOUNTED
from shared.features.places import Place
from shared.features.shards import Shard
from shared.features.state import State
from shared.ports.history import Claim
from shared.replay.audit import audit
from shared.replay.changes import ChangeQueue
from shared.replay.continuation import Taken, continued, start_of, take
from shared.replay.mark import CountedPlaces, Patience
from shared.replay.partitioned.run import Spread
from shared.replay.repair import Repair
from shared.replay.run import ReplayRun, Sinks
from shared.replay.sharded import TablesOfShards
from shared.replay.snapshots import SnapshotRetention, Snapshots
from shared.replay.tables import StoredTables
from shared.scoring.rules import Rules
from shared.telemetry.metrics import Metrics
from tests.contract.history_stores import SERVERS, store
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.query_results import QueryResults
from tests.contract.stored_records import stored_records
from tests.contract.test_stored_changes import plain
from tests.unit.replay.partitioned.worlds import assert_same, replayed, replayed_in_partitions
from tests.unit.replays import records
from tests.unit.sharded import ShardedBank, ShardedMemory, live
from tests.unit.streams import event, pseudonym

SHARDS = 3


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("shards")
    with local_bigquery(state, state) as local:
        yield local


class World:
    """A dataset, and the bank whose rows it holds."""

    def __init__(self, local: LocalBigQuery, dataset: str, bank: ShardedBank) -> None:
        self._local, self._dataset, self.bank = local, dataset, bank
        make(local.client, dataset, contract.tables(), contract.views(PROJECT, dataset, 87))
        self._stored: dict[str, int] = {}
        self.tables = StoredTables.each(QueryResults(local), PROJECT, dataset, SHARDS)

    def store(self) -> None:
        """Store new rows; those of Pix and outcomes twice, the second time as a redelivery."""
        outcomes = self.bank.outcomes[self._stored.get("outcomes", 0) :]
        again = [msgspec.structs.replace(row, received_at=row.received_at + 1) for row in outcomes]
        self._append("outcomes", self.bank.outcomes, again)
        self._append("score_events", self.bank.rows, self.bank.rows[self._stored.get("score_events", 0) :])
        self._append("feedback", [each.row for each in self.bank.reports])

    def _append(self, name: str, rows: Sequence[Record], more: Sequence[Record] = ()) -> None:
        """Append the rows of a table that are not stored yet, and some more."""
        fresh = [*rows[self._stored.get(name, 0) :], *more]
        self._stored[name] = len(rows)

        async def send() -> None:
            service = WriteService.connect(self._local.server.grpc_endpoint)
            table = BigQueryTable(service, PROJECT, self._dataset, contract.table(name), 60.0, Metrics())
            assert await table.append(fresh) == []

        asyncio.run(send())


@pytest.fixture(scope="module")
def world(local: LocalBigQuery) -> World:
    chance = random.Random(5)
    found = World(local, "sharded", ShardedBank(ShardedMemory(SHARDS, chance), chance))
    asyncio.run(live(found.bank))
    found.store()
    return found


@pytest.mark.parametrize("shard", Shard.each(SHARDS))
def test_stored_changes_are_those_that_a_shard_counted(world: World, shard: Shard) -> None:
    found = pa.concat_tables(world.tables[shard.number].changes())
    expected = world.bank.changes(shard)
    assert plain(found) == plain(expected)
    one, other = ChangeQueue([found], shard).rest(), ChangeQueue([expected], shard).rest()
    assert one.facts.keys.tolist() == other.facts.keys.tolist()
    assert one.facts.weights.tolist() == other.facts.weights.tolist()


def test_served_features_equal_replayed_ones(world: World) -> None:
    found = audit(world.tables, None, State.empty(), lambda *_: None)
    assert (found["outcome"], found["features"], found["compared"]) == ("EQUAL", {}, len(world.bank.rows))
    assert found["skipped"] == {"without_history": 0, "part_lost": 0, "without_a_part": 0}
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
    memory = world.bank.history
    assert isinstance(memory, ShardedMemory)
    ours, theirs = (sorted(each[:2] for each in records(state)) for state in (run.state(), memory.records.state()))
    assert ours == theirs


def assert_equal_in_partitions(tables: Sequence[StoredTables], folder: Path) -> pa.Table:
    """Assert that a replay of all rows in partitions is that of one process, and return the rows."""
    staged = TablesOfShards(tables, "partitions", counted_only=False)
    staged.stage()
    for name in ("one", "other"):
        (folder / name / "staged").mkdir(parents=True)
    one = replayed(staged.source(folder / "one" / "staged"), folder / "one")
    *other, tally = replayed_in_partitions(
        staged.source(folder / "other" / "staged"), folder / "other", Spread(4, 30, 9)
    )
    staged.clear()
    assert_same(one, (other[0], other[1]))
    assert one[0] is not None
    assert tally.slices > 1
    return one[0]


def test_a_replay_in_partitions_has_the_rows_and_records_of_one_process(world: World, tmp_path: Path) -> None:
    rows = assert_equal_in_partitions(world.tables, tmp_path)
    assert len(rows) == len(world.bank.rows)


def places_of(bank: ShardedBank) -> list[list[int]]:
    """Return the places of each shard in all rows."""
    every = [place for row in bank.rows for place in (row.history_sequence, *row.visited)]
    every += [place for row in bank.rows for place in (row.decided_sequence, *row.decided_visited)]
    every += [place for row in bank.outcomes for place in (row.history_sequence, *row.visited)]
    every += [place for each in bank.reports for place in each.places]
    return [shard.places([place for place in every if place]) for shard in Shard.each(SHARDS)]


def taken(tables: StoredTables, snapshots: Snapshots) -> Taken:
    """Write a snapshot of a shard."""
    patience = Patience(dt.timedelta(0), dt.timedelta(days=365 * 200))
    now = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    return take(snapshots, tables, patience, SnapshotRetention(), now, lambda *_: None)


def test_a_shard_goes_on_from_its_snapshot(world: World) -> None:
    blobs = MemoryBlobs()
    snapshots, (first, other, _) = Snapshots(blobs, blobs), world.tables
    both = [taken(each, snapshots) for each in (first, other)]
    listed = snapshots.listing().snapshots
    assert sorted(each.shard for each in listed) == [first.shard, other.shard]
    start = start_of(snapshots, listed, CountedPlaces(other))
    assert (start.snapshot, [each.missing for each in both]) == (both[1].snapshot, [0, 0])
    assert Place.of(start.state.sequence).shard == other.shard.number
    on, full = (continued(other, state, lambda *_: None) for state in (start.state, State.empty()))
    assert 0 < on.transactions < full.transactions
    assert sorted(records(on.state)) == sorted(records(full.state))
    assert (on.values, on.state.sequence) == (full.values, full.state.sequence)


def test_a_shard_that_was_emptied_alone_is_filled_alone(local: LocalBigQuery, tmp_path: Path) -> None:
    """Pix without a record there are served meanwhile; afterwards a replay still gives all served features."""
    with store(SERVERS[0], tmp_path, SHARDS) as running:
        running.fresh()
        assert running.server
        world = World(local, "emptied", ShardedBank(running.client(), random.Random(8)))
        blobs, lost = MemoryBlobs(), MemoryLostPlaces()
        snapshots = Snapshots(blobs, blobs)
        running.run(live(world.bank))
        world.store()
        first = taken(world.tables[1], snapshots).snapshot
        assert first
        running.run(live(world.bank, 15, first=100))
        world.store()
        with closing(Redis.from_url(running.server.url)) as redis:
            before = stored_records([redis], SHARDS)
            running.run(running.redis.delete(*running.copied(1)))
            names = [(pseudonym(f"from-{number}"), pseudonym(f"to-{number}")) for number in range(40)]
            probes = [event(*pair, 15_000 + number) for number, pair in enumerate(names)]
            seen = running.run(world.bank.history.observe(Events(probes), Claim(None, probes[-1].initiated_at)))
            served = seen.sequence != UNCOUNTED
            assert 0 < served.sum() < len(probes)
            assert not np.isnan(seen.reads[served]).all(axis=1).any()
            assert np.isnan(seen.reads[~served]).all()
            with closing(ValkeyStore.connect(running.server.url, 86_400, SHARDS)) as load:
                assert [each.is_empty() for each in load.each()] == [False, True, False]
                now = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
                repair = Repair(load, world.tables, snapshots, lost, lambda: now, lambda: None, 3_600)
                rebuilt = repair.rebuild(lambda *_: None)
                assert rebuilt
                assert rebuilt.snapshots == (first.name,)
                assert repair.rebuild(lambda *_: None) is None
                assert [each.shard for each in repair.note_lost()] == [1], "it counts on in an epoch of its own"
            after = stored_records([redis], SHARDS)
        assert before.keys() <= after.keys()
        running.run(world.bank.score(probes, ["APPROVE"] * len(probes)))
        later = [event(i % 5, (i * 3 + 1) % 5, 18_000 + i) for i in range(12)]
        running.run(world.bank.score(later, ["APPROVE"] * len(later)))
        world.store()
        found = audit(world.tables, None, State.empty(), lambda *_: None)
        assert (found["outcome"], found["compared"]) == ("EQUAL", len(world.bank.rows)), found
        rows = assert_equal_in_partitions(world.tables, tmp_path / "replays")
        assert len(rows) == len(world.bank.rows)
