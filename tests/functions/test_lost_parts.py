"""A shard that falls back counts its parts again, though the homes of their Pix have lost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from shared.adapters.valkey.store import ValkeyStore
from shared.contract.rows import LostRow, ScoreRow
from shared.features.places import Place
from tests.contract.history_stores import SERVERS, Store, store
from tests.functions.bank import Bank, feature
from tests.functions.conftest import SHARDS


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory: Path = tmp_path_factory.mktemp("store")
    with store(SERVERS[0], directory, SHARDS) as running:
        yield running


def note_lost(bank: Bank) -> list[LostRow]:
    """Note the ends of epochs in the tables, as jobs.repair does."""
    assert bank.store.server
    with closing(ValkeyStore.connect(bank.store.server.url, 86_400, SHARDS)) as load:
        ended = [LostRow(each.epoch, each.kept, bank.clock + 1, each.shard) for each in load.epochs()]
    bank.tables.lost.rows[:] = ended
    return ended


def parts_on(rows: list[ScoreRow], shard: int) -> list[ScoreRow]:
    return [row for row in rows if shard in {Place.of(place).shard for place in row.visited}]


@pytest.mark.parametrize("outcomes", ["assumed", "published"])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_parts_that_a_shard_has_lost_are_counted_again(sharded: Store, outcomes: str, shard: int) -> None:
    bank = Bank(sharded, outcomes)
    for payee in (1, 2):
        bank.pay(f"11-20T10:0{payee}", "100.00", payee=payee)
    copy = sharded.copied(shard)
    paid = [bank.pay(f"11-20T10:{minute}", "100.00", payee=1 + minute % 3) for minute in range(10, 30)]
    lost = parts_on(paid, shard)
    assert lost
    decided = {row.event.end_to_end_id: row.features for row in lost}
    sharded.fall_back(shard, copy)
    bank.pay("11-20T10:40", "100.00", payee=3)
    assert [each.shard for each in note_lost(bank)] == [shard]
    assert bank.tables.unplaced
    pending = {row.event.end_to_end_id for row in bank.tables.counted if row.place_pending}
    assert pending >= {row.event.end_to_end_id for row in lost}
    homes = {row.event.end_to_end_id: row.history_sequence for row in bank.tables.counted}
    filled = bank.fill()
    assert (filled.decisions, filled.left) == (len(pending), 0)
    assert not [row for row in bank.tables.counted if row.place_pending]
    for row in bank.tables.counted:
        if row.event.end_to_end_id in decided:
            assert np.array_equal(row.features, decided[row.event.end_to_end_id], equal_nan=True)
    kept = {row.event.end_to_end_id: row.history_sequence for row in bank.tables.counted}
    assert {id_: kept[id_] for id_, place in homes.items() if place} == {id_: at for id_, at in homes.items() if at}
    bank.replay()
    after = bank.pay("11-20T10:50", "100.00", payee=1)
    asked = sum(row.event.payee_id == after.event.payee_id for row in bank.tables.scores) - 1
    assert feature(after, "payee_asked_1d") == pytest.approx(asked, abs=0.3)
    assert bank.fill().decisions == 0
    bank.replay()
