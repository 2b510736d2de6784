"""Norms from message to row: history, features and rules together, without a model."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryBlobs, MemoryTable
from shared.contract.event import Event, micros
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import ScoreRow
from shared.contract.transaction import decode_transaction
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.facts import VerdictCount, verdict_facts
from shared.ports.history import Answer, Claim, Observations
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.score_service import ScorePipeline
from shared.telemetry.metrics import Metrics
from tests.builders import encoded, transaction

COMPANY = "11222333000181"
UNREGISTERED: dict[str, Any] = {"device__registered_at": None}
MINUTE = 60_000_000
PSEUDONYMISER = Pseudonymiser(b"test")


class Desk:
    """Scoring by rules alone, with outcomes assumed: an approved Pix settles, no other does."""

    def __init__(self) -> None:
        self.away = False
        self._history = MemoryHistoryAdapter()
        self._clock = 0
        self._table = MemoryTable()
        metrics = Metrics()
        champion = Champion(MemoryBlobs(), 5.0, lambda: 0.0, metrics)
        conclusions = Conclusions(self._history, "assumed")
        scorer = Scorer(self, conclusions, champion, Rules.load(), lambda: self._clock, 40.0, 1, metrics)
        self._pipeline = ScorePipeline(scorer, self._table, PSEUDONYMISER, lambda: self._clock, 300.0, metrics)

    async def observe(self, events: Events, claim: Claim) -> Observations:
        if self.away:
            raise Unavailable("history is away")
        return await self._history.observe(events, claim)

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        self._history.stored(rows)

    async def answer(self, answers: Sequence[Answer]) -> None:
        await self._history.answer(answers)

    async def keep_reads(self) -> None:
        """Do nothing: they are kept at once."""

    async def settle(self) -> None:
        """Do nothing: it is told at once."""

    def row(self, local: str, amount: str, payee: int = 1, **changes: Any) -> ScoreRow:
        """Return the row of a Pix at a local time of 2026, for example "11-20T23:00", to one of several accounts."""
        at = _local(local)
        self._clock = micros(at) + 1_000_000
        message = transaction(initiated_at=at.isoformat(), amount=amount, payee__account=f"900{payee}", **changes)
        message["end_to_end_id"] = f"E12345678{at.astimezone(dt.UTC):%Y%m%d%H%M}{message['end_to_end_id'][-11:]}"
        event = event_of(decode_transaction(encoded(message)).value, PSEUDONYMISER)
        assert asyncio.run(self._pipeline.store([Delivery(event, None)])) == {}
        row = self._table.rows[-1]
        assert isinstance(row, ScoreRow)
        return row

    def confirm_fraud(self, event: Event, local: str) -> None:
        """Count a confirmed fraud in history."""
        ids = (event.payer_id, event.payee_id, event.device_id)
        self._history.history.count(verdict_facts([VerdictCount(*ids, micros(_local(local)), fraud=True)]))

    def decide(self, local: str, amount: str, payee: int = 1, **changes: Any) -> tuple[str, list[str]]:
        """Return the decision and the codes of the rules behind it."""
        row = self.row(local, amount, payee, **changes)
        return row.decision, [reason for reason in row.reasons if not reason.startswith("NO_")]


def _local(time: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-{time}:00-03:00")


@pytest.fixture
def desk() -> Desk:
    return Desk()


APPROVED: tuple[str, list[str]] = ("APPROVE", [])
AT_NIGHT = ("HOLD", ["NIGHT_LIMIT"])


@pytest.mark.parametrize("first", ["50000.00", "0.01"])
def test_a_held_pix_is_held_again_and_a_small_one_before_it_helps_nobody(desk: Desk, first: str) -> None:
    desk.decide("11-20T23:00", first)
    assert desk.decide("11-20T23:01", "50000.00") == AT_NIGHT
    assert desk.decide("11-20T23:02", "50000.00") == AT_NIGHT


def test_the_limit_of_a_night_is_the_total_of_the_night(desk: Desk) -> None:
    decided = [desk.decide("11-20T22:00", "900.00", 1), desk.decide("11-20T23:59", "900.00", 2)]
    decided += [desk.decide("11-21T05:59", "100.00", 3), desk.decide("11-21T05:59", "0.01", 4)]
    assert decided == [APPROVED, AT_NIGHT, APPROVED, AT_NIGHT]  # the HOLD left the total, R$100 fills it
    assert desk.decide("11-21T06:00", "900.00", 5) == APPROVED
    assert desk.decide("11-21T20:00", "1000.00", 6) == APPROVED


@pytest.mark.parametrize(
    "parties",
    [{"payer__tax_id": COMPANY}, {"payee__tax_id": COMPANY}, {"payer__entrepreneur": True}],
    ids=["from a company", "to a company", "from an entrepreneur"],
)
def test_the_limit_of_a_night_means_natural_persons(desk: Desk, parties: dict[str, Any]) -> None:
    assert desk.decide("11-20T23:00", "5000.00", **parties) == APPROVED


def test_a_customers_own_limits_win(desk: Desk) -> None:
    lower: dict[str, Any] = {"payer__limits": {"night": "500.00"}}
    later: dict[str, Any] = {"payer__limits": {"night_from": "22:00"}}
    assert desk.decide("11-20T23:00", "600.00", **lower) == ("REJECT", ["CUSTOMER_NIGHT_LIMIT"])
    assert desk.decide("11-20T23:00", "5000.00", payer__limits={"night": "5000.00"}) == APPROVED
    assert desk.decide("11-22T21:00", "1500.00", **later) == APPROVED
    assert desk.decide("11-23T22:00", "1500.00", **later) == AT_NIGHT
    assert desk.decide("11-25T12:00", "60.00", payer__limits={"day": "100.00"}) == APPROVED
    assert desk.decide("11-25T13:00", "60.00", payer__limits={"day": "100.00"}) == ("REJECT", ["CUSTOMER_DAY_LIMIT"])
    assert desk.decide("11-26T23:00", "500.00", payer__spent={"night": "600.00"}) == AT_NIGHT


AUTOMATIC: dict[str, Any] = {"initiation_form": "AUTO", "payee__tax_id": COMPANY}


@pytest.mark.parametrize(
    ("local", "facts"),
    [
        ("11-20T23:00", {"payee__tax_id": None}),
        ("11-20T12:00", {"payer__limits": {"day": "500.00"}}),
        ("11-20T12:00", UNREGISTERED),
    ],
    ids=["at night to a company that is not named", "above the limit of a day", "by an unregistered device"],
)
def test_no_limit_of_other_pix_is_meant_for_pix_automatico(desk: Desk, local: str, facts: dict[str, Any]) -> None:
    assert desk.decide(local, "5000.00", **AUTOMATIC | facts) == APPROVED
    desk.away = True
    assert desk.decide(local, "5000.00", **AUTOMATIC | facts) == APPROVED


@pytest.mark.parametrize(
    "facts", [{"payer__limits": {"day": "1000.00"}}, UNREGISTERED], ids=["of a day", "of a device"]
)
def test_pix_automatico_uses_no_limit_up(desk: Desk, facts: dict[str, Any]) -> None:
    desk.decide("11-20T12:00", "900.00", **AUTOMATIC | facts)
    assert desk.decide("11-20T12:01", "150.00", payee__tax_id=COMPANY, **facts) == APPROVED


def test_a_rejected_pix_uses_no_limit_up(desk: Desk) -> None:
    refused, codes = desk.decide("11-20T12:00", "5000.00", **UNREGISTERED)
    assert (refused, codes[0]) == ("REJECT", "UNREGISTERED_DEVICE_TRANSACTION_LIMIT")
    for local in ("11-20T12:01", "11-21T12:00", "11-22T12:00"):
        assert desk.decide(local, "50.00", **UNREGISTERED) == APPROVED


def test_a_limit_of_a_day_is_of_one_local_day_over_all_unregistered_devices(desk: Desk) -> None:
    company = {"payee__tax_id": COMPANY, **UNREGISTERED}
    decided = [desk.decide("11-20T12:00", "199.00", device__id=f"device-{i}", **company) for i in range(6)]
    assert decided == [APPROVED] * 5 + [("REJECT", ["UNREGISTERED_DEVICE_DAY_LIMIT"])]
    assert desk.decide("11-20T23:59", "5.00", **company) == APPROVED  # R$1,000 to the centavo
    assert desk.decide("11-21T00:00", "190.00", **company) == APPROVED


def test_pix_automatico_is_not_meant(desk: Desk) -> None:
    assert desk.decide("11-20T12:00", "500.00", **UNREGISTERED, initiation_form="AUTO") == APPROVED


def test_where_history_is_away_a_norm_holds(desk: Desk) -> None:
    desk.away = True
    assert desk.decide("11-20T23:00", "999999.00") == AT_NIGHT
    assert desk.decide("11-20T12:00", "50.00", **UNREGISTERED) == ("HOLD", ["UNREGISTERED_DEVICE_DAY_LIMIT"])
    known: dict[str, Any] = {"payer__spent": {"night": "0.00", "unregistered_devices_today": "0.00"}}
    assert desk.decide("11-20T23:00", "50.00", **UNREGISTERED, **known) == APPROVED
    assert desk.decide("11-20T12:00", "999999.00") == APPROVED
    assert desk.decide("11-20T12:00", "1.00", payer__limits={"day": "100.00"}) == ("HOLD", ["CUSTOMER_DAY_LIMIT"])


@pytest.mark.parametrize("small", [31, 200, 400])
def test_small_pix_from_many_payers_lift_no_hold(desk: Desk, small: int) -> None:
    victim = desk.row("10-01T12:00", "500.00", payer__account="1").event
    decided = [desk.decide("11-15T12:00", "0.01", payer__account=f"{1_000 + i}") for i in range(small)]
    assert decided == [APPROVED] * small
    desk.confirm_fraud(victim, "11-18T12:00")
    row = desk.row("11-20T12:00", "50.00", payer__account="2")
    assert (row.decision, row.reasons[0]) == ("HOLD", "PAYEE_CONFIRMED_FRAUD")


@pytest.mark.parametrize(("side", "decision"), [("PAYER", "HOLD"), ("PAYEE", "BLOCK")])
def test_a_payee_marked_this_month_is_held_or_blocked(desk: Desk, side: str, decision: str) -> None:
    markers = {"mule_accounts": {"d90": 2, "m12": 0, "m60": 0}}
    row = desk.row("11-20T12:00", "50.00", side=side, payee_statistics__fraud_markers=markers)
    assert (row.decision, row.reasons[0]) == (decision, "PAYEE_MARKED_IN_DICT")
    assert row.hold_until is not None
    assert row.hold_until - row.event.initiated_at == (30 if side == "PAYER" else 72 * 60) * MINUTE


def test_a_hold_at_night_lasts_an_hour_and_counts_from_the_time_it_is_scheduled_for(desk: Desk) -> None:
    row = desk.row("11-20T23:00", "5000.00")
    assert row.hold_until == row.event.initiated_at + 60 * MINUTE
    assert desk.row("11-20T12:00", "5000.00").hold_until is None
    markers = {"mule_accounts": {"d90": 2, "m12": 0, "m60": 0}}
    scheduled: dict[str, Any] = {
        "scheduled_for": "2026-11-20T23:30:00-03:00",
        "payee_statistics__fraud_markers": markers,
    }
    row = desk.row("11-20T12:00", "50.00", **scheduled)
    assert row.event.scheduled_for is not None
    assert row.hold_until == row.event.scheduled_for + 60 * MINUTE


def test_a_hold_of_a_pix_that_was_due_before_it_was_initiated_has_not_ended_already(desk: Desk) -> None:
    row = desk.row("11-20T23:00", "5000.00", scheduled_for="2026-11-19T08:00:00-03:00")
    assert row.hold_until == row.event.initiated_at + 60 * MINUTE
