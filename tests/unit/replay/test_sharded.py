"""A replay of a divided history by shard computes the features that were served, however the steps mixed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.shards import Shard
from shared.features.state import State
from shared.replay.audit import Audit, Together, logged
from shared.replay.changes import ChangeQueue
from shared.replay.joining import in_step
from shared.replay.reports import ReportQueue
from shared.replay.run import ReplayRun, Sinks
from shared.replay.sharded import ShardedRows
from shared.replay.sinks import ParquetParts
from shared.replay.sources import StoredRows
from shared.scoring.rules import Rules
from tests.unit.replay.test_audit import RETURNS, STATUSES, VERDICTS
from tests.unit.replays import records
from tests.unit.report_states import med
from tests.unit.served import Told
from tests.unit.sharded import ShardedBank
from tests.unit.streams import DEVICES, event, pseudonym

SHARDS = [1, 2, 3, 5]
RULES = Rules.load()


def world(shards: int, seed: int, setting: str = "assumed", count: int = 45) -> ShardedBank:
    """Return Pix among few accounts, with outcomes and reports in any order; those of a round happen together."""
    bank = ShardedBank(shards, seed, setting)
    chance = bank.chance

    async def live() -> None:
        done = 0
        while done < count:
            known, work = len(bank.rows), []
            for _ in range(chance.randint(1, 3)):
                events = [
                    event(
                        *(chance.randrange(5), chance.randrange(5), done * 30 + i, chance.randrange(1, 90_000)),
                        end_to_end_id=f"E12345678202611241200{done + i:011d}",
                        device_registered=chance.random() < 0.7,
                        device_id=chance.choice([None, *DEVICES[1:]]),
                        payee_person_id=pseudonym(f"person-{chance.randrange(3)}"),
                    )
                    for i in range(chance.randint(1, 3))
                ]
                done += len(events)
                work.append(bank.score(events, [chance.choice(["APPROVE", "APPROVE", "HOLD"]) for _ in events]))
            # Statements about one Pix follow each other: one that changes nothing is placed by its time of receipt.
            for about in chance.sample(range(known), min(known, chance.randint(0, 4))):
                told = Told(0, about, chance.choice(STATUSES), chance.randrange(9_000), 0.5, chance.choice(RETURNS))
                work.append(bank.tell(told))
            for number, about in enumerate(chance.sample(range(known), min(known, chance.randint(0, 2)))):
                more = {"funds_recovery_id": f"f-{about % 3}"} if number == 0 and chance.random() < 0.5 else {}
                pix = bank.rows[about].event.end_to_end_id
                report = med(chance.choice(VERDICTS), done + number, f"m-{about}", pix, **more)
                work.append(bank.report(report))
            await asyncio.gather(*work)

    asyncio.run(live())
    return bank


def pieces(rows: pa.Table, size: int) -> Sequence[pa.Table]:
    return [rows.slice(at, size) for at in range(0, rows.num_rows, size)]


def audits(bank: ShardedBank, size: int = 7) -> tuple[list[Audit], Together]:
    """Replay the rows of each shard; compare all."""
    start = State.empty()
    together = Together(start)
    shards = Shard.each(bank.shards)
    work = [
        Audit(start, ReportQueue(bank.reports, shard=of), ChangeQueue([bank.changes(of)], of), of, together)
        for of in shards
    ]
    for number, rows in in_step([pieces(bank.table(of), size) for of in shards]):
        work[number].add(rows, lambda scored_at: np.ones(len(scored_at), dtype=bool))
    return work, together


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SHARDS), st.integers(0, 10_000), st.sampled_from(["assumed", "published"]))
def test_replayed_features_are_the_served_ones(shards: int, seed: int, setting: str) -> None:
    bank = world(shards, seed, setting)
    work, together = audits(bank)
    assert (together.comparison.features, together.comparison.rows) == ({}, len(bank.rows))
    assert (len(together.joined), sum(each.replayed for each in work)) == (0, len(bank.rows))
    assert [(each.sequence.missing, each.sequence.conflicts, each.sequence.unequal) for each in work] == [
        (0, [], [])
    ] * shards


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
    bank, parts = world(shards, 11), Parts()
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
    theirs = {each[:2]: each[2] for each in records(bank.history.records.state())}
    assert ours.keys() == theirs.keys()
