"""A shard that falls back counts its parts again, though the homes of their Pix have lost nothing."""

from __future__ import annotations

from contextlib import closing
from itertools import count

import numpy as np
import pytest

from shared.adapters.valkey.store import ValkeyStore
from shared.contract.rows import LostRow, ScoreRow
from shared.features.places import Place
from tests.contract.history_stores import Store
from tests.functions.bank import Bank, feature
from tests.functions.conftest import SHARDS

pytestmark = pytest.mark.usefixtures("untold")
PAYEES = 9
"""So many that each shard has one of them."""


def first_id(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """Count the ids of the Pix from a number, which settles on which shards their homes are."""
    monkeypatch.setattr("tests.functions.bank._ids", count(first))


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
def test_parts_that_a_shard_has_lost_are_counted_again(
    sharded: Store, outcomes: str, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_id(monkeypatch, 10_000 + 1_000 * (2 * shard + (outcomes == "published")))
    lose_and_count_again(sharded, outcomes, shard)


@pytest.mark.parametrize("outcomes", ["assumed", "published"])
@pytest.mark.parametrize("first", [51_000, 77_000])
def test_parts_are_counted_again_wherever_the_homes_are(
    sharded: Store, outcomes: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By these ids, nothing is asked of the home of a lost part between its decision and the loss."""
    first_id(monkeypatch, first)
    lose_and_count_again(sharded, outcomes, 0)


@pytest.mark.parametrize("outcomes", ["assumed", "published"])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_settlement_counts_by_one_decision_on_all_shards(
    sharded: Store, outcomes: str, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The home loses the first Pix of pairs, which are not new when it is counted again; other shards keep it."""
    first_id(monkeypatch, 30_000)
    bank, copy = Bank(sharded, outcomes), sharded.copied(shard)
    for minute in range(10, 10 + PAYEES):
        bank.pay(f"11-20T10:{minute}", "100.00", payee=minute - 9)
    new = {row.event.end_to_end_id: feature(row, "new_pair") for row in bank.tables.scores}
    sharded.fall_back(shard, copy)
    for minute in range(30, 30 + PAYEES):
        bank.pay(f"11-20T10:{minute}", "100.00", payee=minute - 29)
    note_lost(bank)
    assert bank.fill().left == 0
    found = {row.event.end_to_end_id: feature(row, "new_pair") for row in bank.tables.counted}
    assert {id_: found[id_] for id_ in new} == new == dict.fromkeys(new, 1.0)
    bank.replay()


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_stored_decision_keeps_its_reads_though_its_process_ends(
    sharded: Store, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells an outcome until the parts are counted again, by another process."""
    first_id(monkeypatch, 20_000)
    bank, copy = Bank(sharded, "published"), sharded.copied(shard)
    paid = [bank.ask(f"11-20T10:{minute}", "100.00", payee=1 + minute % PAYEES) for minute in range(10, 30)]
    lost = {row.event.end_to_end_id: row.features for row in parts_on(paid, shard)}
    assert lost
    bank.history.history = sharded.client()
    sharded.fall_back(shard, copy)
    paid += [bank.ask("11-20T10:40", "100.00", payee=payee) for payee in range(1, 1 + PAYEES)]
    assert [each.shard for each in note_lost(bank)] == [shard]
    assert bank.fill().left == 0
    for row in bank.tables.counted:
        if row.event.end_to_end_id in lost:
            assert np.array_equal(row.features, lost[row.event.end_to_end_id], equal_nan=True)
    for row in paid:
        bank.tell(row, "SETTLED")
    bank.replay()


def lose_and_count_again(sharded: Store, outcomes: str, shard: int) -> None:
    """Let a shard fall back while Pix are paid, fill what it lost, and hold the rows to what they were decided by."""
    bank = Bank(sharded, outcomes)
    for payee in (1, 2):
        bank.pay(f"11-20T10:0{payee}", "100.00", payee=payee)
    copy = sharded.copied(shard)
    payees = [1 + minute % PAYEES for minute in range(10, 30)]
    paid = [bank.pay(f"11-20T10:{minute}", "100.00", payee=payee) for minute, payee in enumerate(payees, 10)]
    lost = parts_on(paid, shard)
    asks_there = next(payee for payee, row in zip(payees, paid, strict=True) if row in lost)
    decided = {row.event.end_to_end_id: row.features for row in lost}
    sharded.fall_back(shard, copy)
    bank.pay("11-20T10:40", "100.00", payee=asks_there)
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
