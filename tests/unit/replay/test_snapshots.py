"""Snapshots in a bucket: whole or refused, listed by one pointer, and removed when they are no longer kept."""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import pytest

from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import Misconfigured, PreconditionFailed
from shared.features.layout import LAYOUTS
from shared.features.packing import packed, unpacked
from shared.features.state import Records, State
from shared.replay.mark import Tally
from shared.replay.snapshots import FOLDER, POINTER, Listing, Snapshot, SnapshotRetention, Snapshots
from tests.unit.replays import records

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
TALLY, KEPT = Tally(9, 7), SnapshotRetention()


def state(place: int, count: int = 40) -> State:
    chance = np.random.default_rng(place)
    keys = [chance.integers(1, 1 << 62, count, dtype=np.uint64) for _ in LAYOUTS]
    rows = [unpacked(x, packed(x, chance.random((count, x.width)) * 1e9)) for x in LAYOUTS]
    return State(tuple(map(Records, keys, rows)), place, chance.integers(1, 1 << 62, count, dtype=np.uint64))


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs(lambda: NOON)


@pytest.fixture
def snapshots(blobs: MemoryBlobs) -> Snapshots:
    return Snapshots(blobs, blobs, part_bytes=1_000)


def taken(
    snapshots: Snapshots,
    place: int,
    at: dt.datetime = NOON,
    retention: SnapshotRetention = KEPT,
    hmac_key: str | None = None,
) -> Snapshot:
    before = snapshots.listing()
    saved = snapshots.save(state(place), TALLY, at, lambda _: None, hmac_key=hmac_key)
    snapshots.publish(saved, before, retention)
    return saved


def test_a_snapshot_in_parts_is_read_as_it_was_written(snapshots: Snapshots, blobs: MemoryBlobs) -> None:
    told: list[int] = []
    saved = snapshots.save(state(5), TALLY, NOON, told.append)
    assert sum(told) == 40 * len(LAYOUTS)
    assert len(blobs.objects) > len(LAYOUTS) + 1
    found = snapshots.load(saved)
    assert found.sequence == 5
    assert list(records(found)) == list(records(state(5)))


def test_an_empty_state_has_a_snapshot_too(snapshots: Snapshots) -> None:
    found = snapshots.load(snapshots.save(State.empty(), TALLY, NOON, lambda _: None))
    assert [len(table.keys) for table in found.tables] == [0] * len(LAYOUTS)


@pytest.mark.parametrize("lost", ["account-000000", "account-000001", "manifest.json"])
@pytest.mark.parametrize("left", [None, b"", b"[]x", b"\0" * 500])
def test_a_damaged_snapshot_is_refused(
    snapshots: Snapshots, blobs: MemoryBlobs, lost: str, left: bytes | None
) -> None:
    saved = taken(snapshots, 5)
    name = f"{FOLDER}{saved.name}/{lost}"
    before = blobs.objects.pop(name)
    if left is not None:
        blobs.objects[name] = before._replace(data=left)
    with pytest.raises(Misconfigured, match="damaged or incomplete"):
        snapshots.load(saved)


def test_a_snapshot_of_another_layout_is_refused(snapshots: Snapshots) -> None:
    saved = msgspec.structs.replace(taken(snapshots, 5), layout="another")
    with pytest.raises(Misconfigured, match="another layout"):
        snapshots.load(saved)


def test_a_job_that_dies_before_the_pointer_leaves_the_snapshots_of_before(
    snapshots: Snapshots, blobs: MemoryBlobs
) -> None:
    first = taken(snapshots, 5)
    dead = snapshots.save(state(8), TALLY, NOON, lambda _: None)
    assert snapshots.listing().snapshots == [first]
    later = taken(snapshots, 9, NOON + dt.timedelta(hours=25))
    assert snapshots.listing().snapshots == [later, first]
    assert not any(dead.name in name for name in blobs.objects), "what it left is removed a day later"


def test_of_two_jobs_one_lists_its_snapshot(snapshots: Snapshots) -> None:
    before = snapshots.listing()
    one, other = (snapshots.save(state(place), TALLY, NOON, lambda _: None) for place in (5, 6))
    snapshots.publish(one, before, KEPT)
    with pytest.raises(PreconditionFailed):
        snapshots.publish(other, before, KEPT)
    assert snapshots.listing().snapshots == [one]


def test_the_last_ones_and_one_of_each_day_are_kept(snapshots: Snapshots, blobs: MemoryBlobs) -> None:
    hours = [NOON + dt.timedelta(hours=each) for each in range(0, 24 * 5, 6)]
    every = [taken(snapshots, place, at, SnapshotRetention(3, 3)) for place, at in enumerate(hours, start=1)]
    kept = snapshots.listing().snapshots
    assert [each.made_at for each in kept] == [hours[i] for i in (19, 18, 17, 13)]
    names = {name.split("/")[1] for name in blobs.objects if name != POINTER}
    assert names == {each.name for each in kept} < {each.name for each in every}


def test_snapshots_of_two_keys_are_kept_side_by_side_until_one_is_left(snapshots: Snapshots) -> None:
    days = [NOON + dt.timedelta(days=each) for each in range(8)]
    for place, at in enumerate(days[:4], start=1):
        taken(snapshots, place, at, SnapshotRetention(2, 2), "old")
        taken(snapshots, place, at, SnapshotRetention(2, 2), "new")
    kept = {(each.hmac_key, each.place) for each in snapshots.listing().snapshots}
    assert kept == {("new", 3), ("new", 4), ("old", 3), ("old", 4)}
    for place, at in enumerate(days[4:], start=5):
        taken(snapshots, place, at, SnapshotRetention(2, 2), "new")
    assert {each.hmac_key for each in snapshots.listing().snapshots} == {"new"}


def test_the_snapshots_of_a_key_can_be_dropped(snapshots: Snapshots, blobs: MemoryBlobs) -> None:
    old, new = (taken(snapshots, 5, NOON, KEPT, key) for key in ("old", "new"))
    snapshots.drop("new")
    assert snapshots.listing().snapshots == [old]
    assert not any(new.name in name for name in blobs.objects)
    snapshots.drop("new")


def test_clearing_removes_all_and_stops_a_job_that_has_begun(snapshots: Snapshots, blobs: MemoryBlobs) -> None:
    taken(snapshots, 5)
    before = snapshots.listing()
    begun = snapshots.save(state(8), TALLY, NOON, lambda _: None)
    snapshots.clear()
    assert list(blobs.objects) == [POINTER]
    with pytest.raises(PreconditionFailed):
        snapshots.publish(begun, before, KEPT)


def test_a_pointer_of_another_shape_is_an_error(snapshots: Snapshots, blobs: MemoryBlobs) -> None:
    assert snapshots.listing() == Listing([], 0)
    blobs.write(POINTER, b'{"snapshots": 3}', 0)
    with pytest.raises(Misconfigured, match="lists no snapshots"):
        snapshots.listing()
