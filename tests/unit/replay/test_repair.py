"""A repair fills an empty store once, from a snapshot that still holds, and notes what a store has lost."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from shared.adapters.memory.operations import MemoryHistoryStore, MemoryLostPlaces
from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import PreconditionFailed, Unavailable
from shared.features.places import Epoch, Place
from shared.features.shards import ONLY
from shared.replay.changes import ChangeQueue
from shared.replay.mark import Tally
from shared.replay.repair import Rebuilt, Repair
from shared.replay.reports import ReportQueue
from shared.replay.snapshots import SnapshotRetention, Snapshots
from shared.replay.sources import StoredRows
from shared.replay.tables import WHOLE, Stretch
from tests.unit.replay.test_snapshots import state

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
LAST = int(Place(3, 70))


class QuietTables:
    """Tables without a row after the snapshot; `changes` is the number of changes at each look."""

    places = outcomes = feedback = "rows"
    shard = ONLY
    hmac_key = None

    def __init__(self, changes: Iterator[int]) -> None:
        self._changes = changes
        self.stretches: list[Stretch] = []

    def rows(self, sql: str) -> pa.Table:
        count = next(self._changes) if str(WHOLE.until) in sql else 70
        return pa.table({"changes": [count], "digest": [0]})

    def scored_since(self, moment: dt.datetime) -> list[tuple[str, str]]:
        assert moment == NOON - dt.timedelta(hours=2)
        return [("E1", "PAYER"), ("E1", "PAYEE")]

    def stage(self, _run: str, _counted_only: bool, stretch: Stretch) -> None:
        self.stretches.append(stretch)

    def source(self, _run: str, _folder: Path, _counted_only: bool, stretch: Stretch) -> StoredRows:
        last = min(LAST, stretch.until)
        return StoredRows(lambda _: [], ReportQueue([], True), True, None, ChangeQueue(), last)

    def clear(self, run: str) -> None:
        pass


class World:
    """A store and what it is repaired from."""

    def __init__(self, changes: Iterator[int] | None = None) -> None:
        self.store, self.lost = MemoryHistoryStore(), MemoryLostPlaces()
        blobs = MemoryBlobs()
        self.snapshots = Snapshots(blobs, blobs)
        self.tables = QuietTables(changes or itertools.repeat(70))
        self.waits = 0
        self.repair = Repair(
            self.store,
            [self.tables],  # type: ignore[list-item]  # it answers the queries of a repair
            self.snapshots,
            self.lost,
            lambda: NOON,
            self._wait,
            7_200,
        )

    def _wait(self) -> None:
        self.waits += 1

    def take(self, changes: int, place: int = LAST) -> str:
        """Write a snapshot of so many changes."""
        before = self.snapshots.listing()
        saved = self.snapshots.save(state(place), Tally(changes, 0), NOON, lambda _: None)
        self.snapshots.publish(saved, before, SnapshotRetention())
        return saved.name


def nothing(*_: object) -> None:
    pass


def test_an_empty_store_is_filled_from_the_snapshot_and_opened() -> None:
    world = World()
    name = world.take(70)
    records = sum(len(table.keys) for table in state(LAST).tables)
    assert world.repair.rebuild(nothing) == Rebuilt((name,), 0, records, 2)
    assert (world.store.sequence, world.waits) == (LAST, 1)
    assert world.store.claims == {("E1", "PAYER"): 7_200, ("E1", "PAYEE"): 7_200}
    assert world.tables.stretches == [Stretch(LAST)]
    assert world.repair.rebuild(nothing) is None
    assert world.waits == 1


def test_a_snapshot_that_holds_no_longer_gives_way_to_the_one_before_it() -> None:
    world = World()
    older = world.take(70, LAST - 9)
    world.take(69)
    found = world.repair.rebuild(nothing)
    assert found
    assert found.snapshots == (older,)
    assert world.tables.stretches == [Stretch(LAST - 9)]


def test_without_a_snapshot_all_rows_are_replayed() -> None:
    world = World()
    assert world.repair.rebuild(nothing) == Rebuilt((), 0, 0, 2)
    assert world.tables.stretches == [WHOLE]


def test_a_row_that_comes_during_the_replay_is_read_too() -> None:
    world = World(iter([70, 71, 71, 71]))
    world.take(70)
    assert world.repair.rebuild(nothing)
    assert len(world.tables.stretches) == 2


def test_a_store_stays_empty_while_rows_come_without_end() -> None:
    world = World(itertools.count())
    with pytest.raises(Unavailable):
        world.repair.rebuild(nothing)
    assert world.store.is_empty()


def test_a_store_that_another_job_fills_is_left_to_it() -> None:
    world = World()
    world.store.held_elsewhere = True
    with pytest.raises(PreconditionFailed):
        world.repair.rebuild(nothing)
    assert (world.waits, world.tables.stretches) == (0, [])


def test_the_end_of_each_former_epoch_is_noted_once() -> None:
    world = World()
    world.store.former = [Epoch(3, 70), Epoch(5, 8)]
    world.lost.note([Epoch(3, 70)])
    assert world.repair.note_lost() == [Epoch(5, 8)]
    assert world.repair.note_lost() == []
    world.store.former.append(Epoch(5, 2))
    assert world.repair.note_lost() == [Epoch(5, 2)]
    world.store.former.append(Epoch(5, 9, shard=2))
    assert world.repair.note_lost() == [Epoch(5, 9, shard=2)], "each shard has epochs of its own"
    assert world.lost.kept == {Epoch(3, 0).part: 70, Epoch(5, 0).part: 2, Epoch(5, 0, shard=2).part: 9}
