"""A replay in partitions of a history of several shards equals the one in one process, in every bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.event import Event
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import table
from shared.features.shards import Shard
from shared.replay.arrow_rows import arrow_table
from shared.replay.changes import ChangeQueue
from shared.replay.partitioned.run import SliceTally, Spread
from shared.replay.reports import ReportQueue
from shared.replay.sharded import ShardedRows
from shared.replay.sources import StoredRows
from tests.unit.replay.partitioned.test_rounds import accounts, chain
from tests.unit.replay.partitioned.worlds import assert_same, replayed, replayed_in_partitions
from tests.unit.replay.rows import score_row
from tests.unit.replay.test_sharded import pieces, world
from tests.unit.served import placed_rows
from tests.unit.sharded import ShardedBank

MULES = [0, 1, 2, 3, 0]


def chained(bank: ShardedBank) -> list[Event]:
    """Return Pix down a chain of mules within seconds, which begins with an account of the bank's frauds."""
    first = bank.rows[0].event
    pix = [each for each in chain([first.payee_id, *accounts(*MULES)]) if isinstance(each, Event)]
    at = max(row.event.initiated_at for row in bank.rows)
    return [
        msgspec.structs.replace(each, initiated_at=at + i, end_to_end_id=f"E12345678202611241200chain{i:06d}")
        for i, each in enumerate(pix)
    ]


def rows_of(bank: ShardedBank, shard: Shard, lacking: Sequence[str]) -> pa.Table:
    """Return the rows of a shard without some, and for the first one the Pix that no shard has counted."""
    found = [each for each in placed_rows(bank.rows, shard) if each[1].event.end_to_end_id not in lacking]
    half = len(found) // 2
    unplaced = [(None, score_row(each, None)) for each in chained(bank)] if shard.number == 0 else []
    every = [*found[:half], *unplaced, *found[half:]]
    rows = arrow_table(table("score_events"), [row for _, row in every])
    return rows.append_column("place", pa.array([place for place, _ in every], pa.int64()))


def source(bank: ShardedBank, lacking: Sequence[str] = ()) -> ShardedRows:
    """Return a source of the rows of all shards; the last one lacks some of its own."""

    def rows(of: Shard) -> StoredRows:
        queue, told = ReportQueue(bank.reports, True, shard=of), ChangeQueue([bank.changes(of)], of)
        found = rows_of(bank, of, lacking if of.number == of.shards - 1 else ())
        return StoredRows(lambda done: pieces(found.slice(done), 7), queue, True, None, told, 0, of)

    return ShardedRows([rows(of) for of in Shard.each(bank.shards)])


def compared(bank: ShardedBank, spread: Spread, lacking: Sequence[str] = ()) -> tuple[pa.Table, SliceTally]:
    """Replay all rows in both ways, compare, and return the rows and the counts of the one in partitions."""
    with TemporaryDirectory() as folder:
        one, other = (Path(folder) / name for name in ("one", "other"))
        rows, state, tally = replayed_in_partitions(source(bank, lacking), other, spread)
        assert rows is not None
        assert list((other / "work").glob("kept-*")) == [] or lacking
        assert_same(replayed(source(bank, lacking), one), (rows, state))
        assert tally.rows == len(rows)
        return rows, tally


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([2, 3, 5]),
    st.integers(0, 10_000),
    st.sampled_from(["assumed", "published"]),
    st.builds(Spread, st.integers(1, 5), st.integers(1, 80), st.integers(1, 20)),
)
def test_parts_on_shards_are_joined_over_ranges_and_slices(
    shards: int, seed: int, setting: str, spread: Spread
) -> None:
    bank = world(shards, seed, setting)[0]
    rows, _ = compared(bank, spread)
    assert len(rows) == len(bank.rows) + len(chained(bank))


def test_taint_of_pix_without_a_place_goes_down_a_chain_through_partitions() -> None:
    bank = world(3, 11)[0]
    rows, tally = compared(bank, Spread(4, 500, 10))
    taint = dict(
        zip(rows["end_to_end_id"].to_pylist(), rows[FEATURE_PREFIX + "payer_taint_30d"].to_pylist(), strict=True)
    )
    assert all(taint[each.end_to_end_id] > 0 for each in chained(bank))
    assert max(tally.rounds) > 3


def test_a_pix_without_a_lost_part_is_complete_and_one_whose_part_does_not_come_has_no_row() -> None:
    bank, chance = world(3, 5)[0], random.Random(5)
    last = Shard(2, 3)
    visiting = [i for i, row in enumerate(bank.rows) if len(row.visited) == 2]
    lost, absent = chance.sample(visiting, 2)
    kept = bank.rows[lost].visited[:1]
    bank.rows[lost] = msgspec.structs.replace(bank.rows[lost], visited=kept)
    name = bank.rows[absent].event.end_to_end_id
    assert last.places([bank.rows[absent].history_sequence or 0, *bank.rows[absent].visited])
    rows, _ = compared(bank, Spread(3, 20, 7), [name])
    ids = rows["end_to_end_id"].to_pylist()
    assert bank.rows[lost].event.end_to_end_id in ids
    assert len(ids) == len(bank.rows) + len(chained(bank)) - 1
    assert name not in ids
