"""A replay of a divided history by shard computes the features that were served, however the steps mixed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.shards import Shard
from shared.replay.audit import logged
from shared.replay.changes import ChangeQueue
from shared.replay.reports import ReportQueue
from shared.replay.run import ReplayRun, Sinks
from shared.replay.sharded import ShardedRows
from shared.replay.sinks import ParquetParts
from shared.replay.sources import StoredRows
from shared.scoring.rules import Rules
from tests.unit.replays import records
from tests.unit.sharded import ShardedBank, ShardedMemory, assert_equal_when_replayed, live

SHARDS = [1, 2, 3, 5]
RULES = Rules.load()


def world(shards: int, seed: int, setting: str = "assumed") -> tuple[ShardedBank, ShardedMemory]:
    chance = random.Random(seed)
    memory = ShardedMemory(shards, chance)
    bank = ShardedBank(memory, chance, setting)
    asyncio.run(live(bank))
    return bank, memory


def pieces(rows: pa.Table, size: int) -> Sequence[pa.Table]:
    return [rows.slice(at, size) for at in range(0, rows.num_rows, size)]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(SHARDS), st.integers(0, 10_000), st.sampled_from(["assumed", "published"]))
def test_replayed_features_are_the_served_ones(shards: int, seed: int, setting: str) -> None:
    assert_equal_when_replayed(world(shards, seed, setting)[0])


class Parts:
    """Files in memory."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []

    def put(self, number: int, data: bytes) -> None:
        del number
        self.tables.append(pq.read_table(BytesIO(data)))

    def finish(self, parts: int) -> int:
        return parts


def source(bank: ShardedBank) -> ShardedRows:
    def rows(of: Shard) -> StoredRows:
        queue, told = ReportQueue(bank.reports, True, shard=of), ChangeQueue([bank.changes(of)], of)
        table = bank.table(of)
        return StoredRows(lambda done: pieces(table.slice(done), 7), queue, True, None, told, 0, of)

    return ShardedRows([rows(of) for of in Shard.each(bank.shards)])


@pytest.mark.parametrize("shards", [2, 3, 5])
def test_a_replay_of_rows_ends_in_the_records_of_all_shards(shards: int) -> None:
    (bank, memory), parts = world(shards, 11), Parts()
    run = ReplayRun(source(bank), Sinks(ParquetParts(parts), None, None), RULES, 1)
    run.run(lambda _: None)
    for each in run._sinks.parts():
        each.finish()
    found = pa.concat_tables(parts.tables)
    assert run.transactions == found.num_rows == len(bank.rows)
    served = {row.event.end_to_end_id: row for row in bank.rows}
    for id_, vector in zip(found["end_to_end_id"].to_pylist(), logged(found), strict=True):
        np.testing.assert_allclose(vector, served[id_].features, rtol=1e-4, atol=1e-4)
    assert found["history_sequence"].to_pylist() == [
        served[id_].history_sequence for id_ in found["end_to_end_id"].to_pylist()
    ]
    ours = {each[:2]: each[2] for each in records(run.state())}
    theirs = {each[:2]: each[2] for each in records(memory.records.state())}
    assert ours.keys() == theirs.keys()
