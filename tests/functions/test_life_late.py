"""Outcomes of Pix that history has forgotten: stored at once, counted together later, each once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.wire import stored_life
from shared.contract.rows import LateRow, OutcomeRow, ScoreRow
from shared.errors import Unavailable
from shared.features.life import claims_of
from shared.operations.late import LateCounted
from shared.ports.history import LIFE_KEY
from shared.serving.intake import REFUSED, RETRY_LATER
from shared.serving.outcome_service import EARLY_SECONDS
from tests.contract.history_stores import SERVERS, Store, store
from tests.functions.bank import SECOND, Bank, feature
from tests.functions.conftest import SHARDS
from tests.waiting import until

REMEMBERED = 600.0
LATE, DAYS_LATE = 3_600.0, 3 * 86_400.0
CUSTOMER: dict[str, Any] = {"payer__account": "1"}


class Forgetful(MemoryHistoryAdapter):
    """A history that forgets every life when it is told to."""

    def forget(self) -> None:
        self._lives.clear()

    def keep_claims_alone(self) -> None:
        """Be as a store that was lost and filled again."""
        self._lives.update({id_: bytearray(stored_life(["PAYER"])) for id_ in self._lives})


@pytest.fixture
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store("memory", tmp_path_factory.mktemp("memory")) as running:
        yield running


def forgetful(memory: Store) -> tuple[Bank, Forgetful]:
    history = Forgetful()
    return Bank(memory, "published", history, REMEMBERED), history


def late_rows(bank: Bank) -> list[LateRow]:
    return [row for row in bank.tables.late_outcomes.rows if isinstance(row, LateRow)]


def counted_rows(bank: Bank) -> list[OutcomeRow]:
    return [row for row in bank.tables.told if not row.place_pending]


def forgotten(bank: Bank, history: Forgetful, amount: str = "100.00") -> ScoreRow:
    """Return the row of a Pix that settled, of which history has no life any more."""
    row = bank.pay("11-20T12:00:00", amount, **CUSTOMER)
    history.forget()
    return row


@pytest.mark.parametrize("late", [LATE, DAYS_LATE])
@pytest.mark.parametrize("kind", SERVERS)
def test_an_outcome_long_after_its_life_expired_counts_once(
    kind: Any, late: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with store(kind, tmp_path_factory.mktemp("expiry")) as running:
        history = running.client(life_seconds=1)
        bank = Bank(running, "published", history, REMEMBERED)
        row = bank.ask("11-20T12:00:00", "100.00", **CUSTOMER)

        def expired() -> bool:
            return running.run(history.find([LIFE_KEY + row.event.end_to_end_id])) == [None]

        until(expired)
        bank.tell(row, "SETTLED", late)
        assert bank.count_late() == LateCounted(counted=1)
        first = counted_rows(bank)[0].history_sequence
        until(expired)
        bank.tell(row, "SETTLED", late)
        assert bank.count_late() == LateCounted(), "it was counted before"
        bank.give_back(row, "40.00", seconds=late + 60)
        bank.give_back(row, "40.00", seconds=late + 60)
        assert bank.count_late() == LateCounted(counted=1)
        assert counted_rows(bank)[0].history_sequence == first
        after = bank.ask("11-24T12:00:00", "60.00", **CUSTOMER)
        assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
        bank.replay()


def test_a_late_return_is_stored_at_once_and_counts_at_the_next_run(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = forgotten(bank, history)
    bank.give_back(row, "40.00", seconds=DAYS_LATE)
    (said,) = (each for each in bank.tables.told if each.status == "RETURNED")
    assert (said.place_pending, said.history_sequence) == (True, None)
    before = bank.ask("11-23T13:00:00", "60.00", **CUSTOMER)
    assert feature(before, "amount_to_pair_mean") == pytest.approx(0.6, rel=1e-3)
    bank.replay()
    assert bank.count_late() == LateCounted(counted=1)
    after = bank.ask("11-23T14:00:00", "60.00", **CUSTOMER)
    assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
    bank.replay()


def test_a_life_that_is_made_again_knows_each_of_many_returns(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = bank.pay("11-20T12:00:00", "120.00", **CUSTOMER)
    for number in range(11):
        bank.give_back(row, "9.00", number)
    before = {each.return_id: each.history_sequence for each in counted_rows(bank) if each.return_id}
    history.forget()
    for number in (0, 10, 11):
        bank.give_back(row, "9.00", number, seconds=DAYS_LATE)
    assert bank.count_late() == LateCounted(counted=3)
    after = {each.return_id: each.history_sequence for each in counted_rows(bank) if each.return_id}
    assert (len(after), after | before) == (12, after)
    looked = bank.ask("11-23T14:00:00", "12.00", **CUSTOMER)
    assert feature(looked, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
    bank.replay()


def test_an_outcome_of_a_known_pix_is_counted_at_once(memory: Store) -> None:
    bank, _ = forgetful(memory)
    row = bank.pay("11-20T12:00:00", "100.00", **CUSTOMER)
    bank.give_back(row, "40.00", seconds=DAYS_LATE)
    assert late_rows(bank) == []
    assert {each.place_pending for each in bank.tables.told} == {None}
    assert bank.tables.told[-1].history_sequence is not None


def test_an_outcome_that_comes_before_a_young_pix_waits_in_its_topic(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = forgotten(bank, history)
    bank.clock += round(REMEMBERED - 60) * SECOND
    bank.tell(row, "CANCELLED", 60, expected=RETRY_LATER)
    assert late_rows(bank) == []
    bank.clock += 120 * SECOND
    bank.tell(row, "CANCELLED", 60)
    assert [each.status for each in late_rows(bank)] == ["CANCELLED"]


def test_an_outcome_that_came_about_long_after_its_unknown_pix_does_not_wait(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = forgotten(bank, history)
    bank.tell(row, "CANCELLED", EARLY_SECONDS + 60)
    assert [each.status for each in late_rows(bank)] == ["CANCELLED"]


def test_an_outcome_of_a_pix_of_which_a_lost_store_kept_the_claim_is_late(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = bank.pay("11-20T12:00:00", "100.00", **CUSTOMER)
    history.keep_claims_alone()
    bank.give_back(row, "40.00", seconds=REMEMBERED / 2)
    assert len(late_rows(bank)) == 1
    assert bank.count_late() == LateCounted(counted=1)
    (value,) = memory.run(history.find([LIFE_KEY + row.event.end_to_end_id]))
    assert value is not None
    assert [(each.side, each.stored) for each in claims_of(value).values()] == [("PAYER", True)]
    bank.ask("11-20T13:00:00", "60.00", **CUSTOMER)
    bank.replay()


def test_late_outcomes_are_counted_together_once_one_has_waited_long_enough(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = forgotten(bank, history)
    for number in range(3):
        bank.give_back(row, "10.00", number, seconds=DAYS_LATE + 1_000 * number)
    assert bank.count_late(seconds=2_400) == LateCounted()
    bank.clock += 600 * SECOND
    assert bank.count_late(seconds=2_400) == LateCounted(counted=3)
    bank.replay()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_late_outcomes_count_alike_in_any_order(memory: Store, order: tuple[int, ...]) -> None:
    bank, history = forgetful(memory)
    row = bank.ask("11-20T12:00:00", "100.00", **CUSTOMER)
    history.forget()
    steps: list[Callable[[], object]] = [
        lambda: bank.tell(row, "SETTLED", LATE),
        lambda: bank.give_back(row, "30.00", 1, seconds=LATE),
        lambda: bank.give_back(row, "20.00", 2, seconds=LATE),
    ]
    for i in order:
        steps[i]()
        bank.count_late()
        bank.replay()
        history.forget()
    after = bank.ask("11-20T16:00:00", "50.00", **CUSTOMER)
    assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
    bank.replay()


def test_a_job_that_was_killed_between_count_and_append_finds_the_place(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = forgotten(bank, history)
    bank.give_back(row, "40.00", seconds=DAYS_LATE)
    bank.tables.outcomes.away = True
    with pytest.raises(Unavailable):
        bank.count_late()
    counted = history.history.sequence
    bank.tables.outcomes.away = False
    assert bank.count_late() == LateCounted(counted=1)
    assert history.history.sequence == counted == counted_rows(bank)[-1].history_sequence
    assert bank.count_late() == LateCounted()
    bank.replay()


def test_a_job_that_was_killed_before_it_noted_its_work_repeats_it(memory: Store) -> None:
    bank, history = forgetful(memory)
    row = forgotten(bank, history)
    bank.give_back(row, "40.00", seconds=DAYS_LATE)
    bank.tables.late_outcomes.away = True
    with pytest.raises(Unavailable):
        bank.count_late()
    bank.tables.late_outcomes.away = False
    history.forget()
    assert bank.count_late() == LateCounted(counted=1)
    places = {each.history_sequence for each in counted_rows(bank) if each.status == "RETURNED"}
    assert len(places) == 1
    bank.replay()


def test_a_late_outcome_waits_for_the_place_of_its_pix(memory: Store) -> None:
    bank, history = forgetful(memory)
    bank.history.away = True
    row = bank.ask("11-20T12:00:00", "100.00", **CUSTOMER)
    bank.history.away = False
    history.forget()
    bank.tell(row, "SETTLED", LATE)
    assert bank.count_late() == LateCounted(left=1)
    assert bank.count_late(seconds=60) == LateCounted(), "it is tried again later"
    bank.fill()
    assert bank.count_late(seconds=60) == LateCounted(counted=1)
    assert feature(bank.pay("11-20T14:00:00", "10.00", **CUSTOMER), "payer_sent_count_1d") == pytest.approx(
        1, abs=0.2
    )
    bank.replay()


def test_the_time_between_two_attempts_doubles(memory: Store) -> None:
    bank, history = forgetful(memory)
    bank.history.away = True
    row = bank.ask("11-20T12:00:00", "100.00", **CUSTOMER)
    bank.history.away = False
    history.forget()
    bank.tell(row, "SETTLED", LATE)
    tried = []
    for minute in range(1, 41):
        bank.clock += 60 * SECOND
        if bank.count_late(seconds=300).left:
            tried.append(minute)
    assert tried == [5, 10, 20, 40]


@pytest.mark.parametrize("shards", [1, SHARDS])
def test_a_life_made_again_is_kept_until_its_outcomes_are_stored(
    shards: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with store(SERVERS[0], tmp_path_factory.mktemp("kept"), shards) as running:
        running.fresh()
        short, keeping = running.client(life_seconds=1), running.client(life_seconds=10_000)
        bank = Bank(running, "published", short, REMEMBERED, keeping)
        row = bank.ask("11-20T12:00:00", "100.00", **CUSTOMER)

        def expired() -> bool:
            return running.run(short.find([LIFE_KEY + row.event.end_to_end_id])) == [None]

        until(expired)
        bank.tell(row, "SETTLED", LATE)
        bank.tables.outcomes.away = True
        with pytest.raises(Unavailable):
            bank.count_late()
        bank.tables.outcomes.away = False
        time.sleep(1.5)  # longer than lives are kept whose rows are stored
        bank.ask("11-20T14:00:00", "10.00", 2, **CUSTOMER)
        assert bank.count_late() == LateCounted(counted=1)
        until(expired)
        bank.ask("11-20T15:00:00", "10.00", **CUSTOMER)
        bank.replay()


@pytest.mark.parametrize("shards", [1, SHARDS])
def test_two_jobs_at_once_count_each_outcome_once(shards: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    with store(SERVERS[0], tmp_path_factory.mktemp("two"), shards) as running:
        running.fresh()
        history = running.client(life_seconds=1)
        bank = Bank(running, "published", history, REMEMBERED)
        rows = [bank.ask(f"11-20T12:00:{i:02d}", "100.00", i, **CUSTOMER) for i in range(9)]
        until(lambda: running.run(history.find([LIFE_KEY + rows[-1].event.end_to_end_id])) == [None])
        for row in rows:
            bank.tell(row, "SETTLED", LATE)
        found = bank.count_late_twice()
        assert sum(each.counted for each in found) >= len(rows)
        places: dict[str, set[int | None]] = {}
        for each in counted_rows(bank):
            places.setdefault(each.end_to_end_id, set()).add(each.history_sequence)
        assert len(places) == len(rows)
        assert {len(several) for several in places.values()} == {1}
        bank.ask("11-20T15:00:00", "10.00", **CUSTOMER)
        bank.replay()


@pytest.mark.parametrize("shards", [1, SHARDS])
def test_an_outcome_without_a_row_for_longer_than_lives_are_kept_counts_once(
    shards: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with store(SERVERS[0], tmp_path_factory.mktemp("unstored"), shards) as running:
        running.fresh()
        history = running.client(life_seconds=1)
        bank = Bank(running, "published", history, REMEMBERED)
        away, refused = (bank.ask(f"11-20T12:00:0{i}", "100.00", i, **CUSTOMER) for i in range(2))
        bank.tables.outcomes.away = True
        bank.tell(away, "SETTLED", 1, expected=RETRY_LATER)
        bank.tables.outcomes.away = False
        bank.tables.outcomes.refuses = lambda _: True
        bank.tell(refused, "SETTLED", 1, expected=REFUSED)
        bank.tables.outcomes.refuses = lambda _: False
        time.sleep(1.5)  # longer than lives are kept whose rows are stored
        bank.clock += 86_400 * SECOND
        for row in (away, refused):
            bank.tell(row, "SETTLED", 1)
        assert [row.place_pending for row in bank.tables.told] == [None, None]
        assert bank.count_late() == LateCounted()
        bank.ask("11-22T12:00:00", "100.00", **CUSTOMER)
        bank.replay()
