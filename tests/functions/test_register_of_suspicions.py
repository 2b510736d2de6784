"""While the register holds a suspicion about an account, Pix to it are rejected, on both sides and by every way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.memory.suspicions import MemorySuspicions
from shared.contract.event import EPOCH
from shared.desk.suspicions import Finding, SuspicionRegister
from shared.telemetry.metrics import SUSPICIONS
from tests.contract.history_stores import Store, store
from tests.functions.bank import Bank, decision_of

APPROVED: tuple[str, list[str]] = ("APPROVE", [])
REJECTED = ("REJECT", ["PAYEE_UNDER_SUSPICION"])
FOUND = Finding("opened with the papers of another person", ("REPORT:r-1",))
DAY = dt.timedelta(days=1)


class Office:
    """A bank, and the officer who keeps its register."""

    def __init__(self, store: Store) -> None:
        self.rows = MemorySuspicions()
        self.bank = Bank(store, "assumed", register=self.rows)
        self.register = SuspicionRegister(self.rows, "a" * 32, 1, self._now)

    def _now(self) -> dt.datetime:
        return EPOCH + dt.timedelta(microseconds=self.bank.clock)

    def decide(self, local: str, **changes: Any) -> tuple[str, list[str]]:
        """Return decision and codes of a Pix of R$ 10."""
        return decision_of(self.bank.ask(local, "10.00", **changes))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with store("memory", tmp_path) as memory:
        yield Office(memory)


@pytest.mark.parametrize("side", ["PAYER", "PAYEE"])
def test_a_pix_to_a_suspected_account_is_rejected_until_the_suspicion_ends(office: Office, side: str) -> None:
    account = office.bank.ask("11-20T12:00:00", "10.00", side=side).event.payee_id
    office.register.open(account, FOUND, 7 * DAY)
    assert office.decide("11-20T12:10:00", side=side) == REJECTED
    assert office.decide("11-20T12:10:00", side=side, payee__account="1") == APPROVED
    assert office.decide("11-27T11:59:00", side=side) == REJECTED
    assert office.decide("11-27T12:01:00", side=side) == APPROVED


def test_an_extension_counts_and_a_suspicion_that_is_lifted_does_not(office: Office) -> None:
    account = office.bank.ask("11-20T12:00:00", "10.00").event.payee_id
    office.register.open(account, FOUND, DAY)
    assert office.decide("11-20T13:00:00") == REJECTED
    office.register.extend(account, FOUND, 9 * DAY)
    assert office.decide("11-28T12:00:00") == REJECTED
    office.register.lift(account, FOUND)
    assert office.decide("11-28T12:10:00") == APPROVED


def test_what_is_known_to_be_suspected_stays_so_while_the_register_does_not_answer(office: Office) -> None:
    account = office.bank.ask("11-20T12:00:00", "10.00").event.payee_id
    office.register.open(account, FOUND, 7 * DAY)
    assert office.decide("11-20T12:10:00") == REJECTED
    office.rows.away = True
    assert office.decide("11-21T12:00:00") == REJECTED
    office.rows.away = False
    office.register.lift(account, FOUND)
    assert office.decide("11-21T12:10:00") == APPROVED


def test_a_register_that_does_not_answer_at_the_start_stops_no_pix(office: Office) -> None:
    office.rows.away = True
    assert office.decide("11-20T12:00:00") == APPROVED


def test_readings_that_fail_are_counted_for_the_alert(office: Office) -> None:
    def readings() -> list[float]:
        return [office.bank.score_metrics.value(SUSPICIONS, outcome) for outcome in ("answered", "failed")]

    office.decide("11-20T12:00:00")
    assert readings() == [1, 0]
    office.rows.away = True
    office.decide("11-20T12:10:00")
    assert readings() == [1, 1]
    office.rows.away = False
    office.decide("11-20T12:20:00")
    assert readings() == [2, 1]


def test_other_rules_that_fire_are_named_too(office: Office) -> None:
    account = office.bank.ask("11-20T12:00:00", "10.00").event.payee_id
    office.register.open(account, FOUND, 7 * DAY)
    row = office.bank.ask("11-20T23:00:00", "5000.00")
    assert decision_of(row) == ("REJECT", ["NIGHT_LIMIT", "PAYEE_UNDER_SUSPICION"])
