"""Places that history gives to decided Pix later: what is filled is what a replay computes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.rows import FillRow, LostRow
from shared.errors import Unavailable
from shared.features.places import Place
from shared.operations.filling import Filled
from shared.serving.intake import RETRY_LATER
from tests.contract.history_stores import Store, store
from tests.functions.bank import Bank, feature, message

SECOND_EPOCH = int(Place(1, 0))


def fills(bank: Bank) -> list[FillRow]:
    return [row for row in bank.tables.fills.rows if isinstance(row, FillRow)]


def pending(bank: Bank) -> list[str]:
    return [row.event.end_to_end_id for row in bank.tables.counted if row.place_pending]


def test_what_was_decided_while_history_was_away_is_counted_once(bank: Bank) -> None:
    bank.pay("11-20T10:00", "100.00")
    bank.history.away = True
    blind = [bank.ask(f"11-20T10:0{i}", "100.00") for i in range(1, 4)]
    bank.history.away = False
    assert {row.history_sequence for row in blind} == {None}
    assert len(pending(bank)) == 3
    assert bank.fill() == Filled(decisions=3)
    assert pending(bank) == []
    bank.replay()
    after = bank.pay("11-20T10:30", "100.00")
    assert feature(after, "payer_asked_1d") == pytest.approx(4, abs=0.2)
    assert bank.fill() == Filled()
    assert len(fills(bank)) == 3


def test_what_history_counted_without_answering_keeps_its_place(bank: Bank) -> None:
    bank.pay("11-20T10:00", "100.00")
    bank.history.mute = True
    phantoms = [bank.ask(f"11-20T10:0{i}", "100.00") for i in range(1, 4)]
    bank.history.mute = False
    next_ = bank.pay("11-20T10:10", "100.00")
    assert {row.history_sequence for row in phantoms} == {None}
    assert next_.history_sequence is not None
    bank.fill()
    after = {Place.of(place).shard: place for place in (next_.history_sequence, *next_.visited)}
    for place in (place for each in fills(bank) for place in (each.history_sequence, *each.visited)):
        assert place < after.get(Place.of(place).shard, place + 1)
    assert pending(bank) == []


def test_a_decision_that_was_not_concluded_is_concluded(bank: Bank) -> None:
    bank.history.mute_to_changes = True
    row = bank.ask("11-20T10:00", "100.00")
    other = bank.ask("11-20T10:01", "99999.00", payee=2)
    bank.history.mute_to_changes = False
    assert row.history_sequence is not None
    assert row.decided_sequence is None
    assert row.place_pending is not bank.published
    bank.fill()
    assert pending(bank) == []
    known = {each.event.end_to_end_id: each for each in bank.tables.counted}
    assert (known[row.event.end_to_end_id].decided_sequence is None) is bank.published
    assert known[other.event.end_to_end_id].history_sequence == other.history_sequence


def test_an_outcome_waits_for_the_place_of_its_pix(bank: Bank) -> None:
    bank.history.away = True
    row = bank.ask("11-20T10:00", "100.00")
    bank.history.away = False
    bank.tell(row, "SETTLED", expected=RETRY_LATER)
    bank.fill()
    bank.tell(row, "SETTLED")
    assert feature(bank.pay("11-20T12:00", "10.00"), "payer_sent_count_1d") == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("first", ["PAYER", "PAYEE"])
def test_both_sides_of_a_pix_get_its_one_place(bank: Bank, first: str) -> None:
    device: dict[str, Any] = {"device__id": "d-7", "device__registered_at": None}
    asked = {side: message("11-20T10:00", "100.00", side=side, **device) for side in ("PAYER", "PAYEE")}
    asked["PAYEE"]["end_to_end_id"] = asked["PAYER"]["end_to_end_id"]
    bank.history.away = True
    bank.score(asked.pop(first))
    bank.history.away = False
    own = bank.score(asked.popitem()[1])
    bank.fill()
    assert [each.history_sequence for each in fills(bank)] == [own.history_sequence]
    bank.pay("11-20T11:00", "10.00")


def test_a_pix_whose_row_came_twice_is_filled_once(bank: Bank) -> None:
    bank.history.away = True
    again = message("11-20T10:00", "100.00")
    for _ in range(2):
        bank.score(again)
    bank.history.away = False
    assert [row.history_sequence for row in bank.tables.scores] == [None, None]
    bank.fill()
    assert len(fills(bank)) == 1
    assert {row.history_sequence for row in bank.tables.counted} == {fills(bank)[0].history_sequence}


def test_a_redelivery_that_was_decided_with_history_gives_the_place(bank: Bank) -> None:
    bank.history.away = True
    again = message("11-20T10:00", "50000.00")
    bank.score(again)
    bank.history.away = False
    bank.score(again)
    own = bank.tables.scores[-1]
    assert own.history_sequence is not None
    bank.fill()
    assert {row.history_sequence for row in bank.tables.counted} == {own.history_sequence}


def test_a_filling_that_was_interrupted_continues(bank: Bank) -> None:
    bank.history.away = True
    for i in range(6):
        bank.ask(f"11-20T10:0{i}", "100.00", payee=i % 3)
    bank.history.away = False
    bank.tables.fills.away = True
    with pytest.raises(Unavailable):
        bank.fill()
    bank.tables.fills.away = False
    assert bank.fill(limit=2) == Filled(decisions=2)
    assert bank.fill() == Filled(decisions=4)
    assert len({each.history_sequence for each in fills(bank)}) == 6


def test_another_message_under_the_id_leaves_the_row_without_a_place(bank: Bank) -> None:
    bank.history.away = True
    one = bank.ask("11-20T10:00", "100.00")
    bank.history.away = False
    other = message("11-20T10:00", "200.00") | {"end_to_end_id": one.event.end_to_end_id}
    bank.score(other)
    assert bank.fill() == Filled(left=1)
    assert fills(bank) == []


@pytest.fixture
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store("memory", tmp_path_factory.mktemp("memory")) as running:
        yield running


def test_a_pix_of_which_the_other_side_was_counted_is_never_counted_again(memory: Store) -> None:
    bank = Bank(memory, "published", MemoryHistoryAdapter(lives=1))
    asked = {side: message("11-20T10:00", "100.00", side=side) for side in ("PAYER", "PAYEE")}
    asked["PAYEE"]["end_to_end_id"] = asked["PAYER"]["end_to_end_id"]
    bank.score(asked["PAYER"])
    bank.history.away = True
    bank.score(asked["PAYEE"])
    bank.history.away = False
    bank.pay("11-20T10:30", "100.00")  # history forgets the life of the first Pix
    assert bank.fill() == Filled(left=1)
    assert fills(bank) == []
    assert feature(bank.pay("11-20T11:00", "100.00"), "payer_asked_1d") == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("setting", ["assumed", "published"])
def test_what_a_failover_lost_is_counted_again(memory: Store, setting: str) -> None:
    """A replica takes over that lacks the last changes: asks, decisions, outcomes and reports."""
    bank = Bank(memory, setting, MemoryHistoryAdapter())
    early = [bank.pay(f"11-20T10:0{i}", "100.00", payee=i) for i in range(3)]
    replica = copy.deepcopy(bank.history.history)
    late = [bank.pay(f"11-20T10:1{i}", "100.00", payee=i) for i in range(3)]
    bank.tell(early[0], "SETTLED")
    bank.give_back(early[0], "40.00")
    bank.report(early[1], "11-20T10:30")
    assert isinstance(replica, MemoryHistoryAdapter)
    kept = replica.history.sequence
    bank.history.history = replica
    replica.history.sequence = SECOND_EPOCH
    bank.store.run(bank.tables.lost.append([LostRow(0, kept, bank.clock)]))
    bank.pay("11-20T10:40", "100.00", payee=1)
    assert set(pending(bank)) == {row.event.end_to_end_id for row in late}
    filled = bank.fill()
    assert (filled.decisions, filled.left) == (3, 0)
    assert filled.reports == 1
    assert pending(bank) == []
    counted = [row.history_sequence for row in bank.tables.counted]
    assert all(place is not None and (Place.of(place).epoch == 1 or place <= kept) for place in counted)
    assert bank.fill() == Filled()
    bank.pay("11-20T13:00", "100.00", payee=1)
    bank.replay()


def test_filled_features_are_those_of_the_place(bank: Bank) -> None:
    """History knows the Pix that came before the fill, whenever they were initiated."""
    bank.history.away = True
    blind = bank.ask("11-20T10:00", "100.00")
    bank.history.away = False
    bank.pay("11-20T09:59", "77.00")
    bank.fill()
    found = next(row for row in bank.tables.counted if row.event == blind.event)
    assert feature(blind, "payer_asked_1d") != feature(blind, "payer_asked_1d")
    assert feature(found, "payer_asked_1d") == pytest.approx(1, abs=0.1)
    assert np.isfinite(found.features).sum() > np.isfinite(blind.features).sum()
