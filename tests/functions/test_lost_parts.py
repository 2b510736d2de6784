"""A shard that falls back counts its parts again, though the homes of the Pix have lost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

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
def test_parts_that_a_shard_has_lost_are_counted_again(sharded: Store, outcomes: str) -> None:
    bank = Bank(sharded, outcomes)
    bank.pay("11-20T10:00", "100.00")
    (payee_shard,) = {Place.of(place).shard for place in bank.pay("11-20T10:01", "100.00", payee=2).visited[-1:]}
    copy = sharded.copied(payee_shard)
    paid = [bank.pay(f"11-20T10:{minute}", "100.00", payee=1 + minute % 3) for minute in range(10, 30)]
    lost = parts_on(paid, payee_shard)
    assert lost
    sharded.fall_back(payee_shard, copy)
    bank.pay("11-20T10:40", "100.00", payee=3)
    assert [each.shard for each in note_lost(bank)] == [payee_shard]
    assert bank.tables.unplaced
    pending = {row.event.end_to_end_id for row in bank.tables.counted if row.place_pending}
    assert pending >= {row.event.end_to_end_id for row in lost}
    homes = {row.event.end_to_end_id: row.history_sequence for row in bank.tables.counted}
    filled = bank.fill()
    assert (filled.decisions, filled.left) == (len(pending), 0)
    assert not [row for row in bank.tables.counted if row.place_pending]
    kept = {row.event.end_to_end_id: row.history_sequence for row in bank.tables.counted}
    assert {id_: kept[id_] for id_, place in homes.items() if place} == {id_: at for id_, at in homes.items() if at}
    bank.replay()
    after = bank.pay("11-20T10:50", "100.00", payee=1)
    asked = sum(row.event.payee_id == after.event.payee_id for row in bank.tables.scores) - 1
    assert feature(after, "payee_asked_1d") == pytest.approx(asked, abs=0.3)
    assert bank.fill().decisions == 0
    bank.replay()
