"""Limits are exact totals of what settled or is in flight, over nights, days, devices and accounts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.history_stores import Store
from tests.functions.bank import COMPANY, Bank, decision_of, feature

APPROVED: tuple[str, list[str]] = ("APPROVE", [])
AT_NIGHT = ("HOLD", ["NIGHT_LIMIT"])
OVER_THE_DAY = ("REJECT", ["UNREGISTERED_DEVICE_DAY_LIMIT"])
UNREGISTERED: dict[str, Any] = {"device__registered_at": None, "payee__tax_id": COMPANY}


def test_a_rejected_pix_uses_no_limit_up(bank: Bank) -> None:
    refused = bank.pay("11-20T12:00:00", "5000.00", **UNREGISTERED)
    assert refused.decision == "REJECT"
    for local in ("11-20T12:01:00", "11-21T12:00:00", "11-22T12:00:00"):
        assert bank.decide(local, "50.00", **UNREGISTERED) == APPROVED
    bank.tell(refused, "REJECTED")
    assert feature(bank.ask("11-22T12:01:00", "100.00", **UNREGISTERED), "device_day_limit_left") == 850


@pytest.mark.parametrize(
    "spread",
    [{}, {"device__id": "device-{}"}, {"payer__account": "12345{}"}, {"payer__branch": "{}"}],
    ids=["one device", "two devices", "two accounts", "two branches"],
)
def test_six_pix_of_199_in_a_local_day_exceed_its_limit_however_they_are_spread(
    bank: Bank, spread: dict[str, str]
) -> None:
    for i in range(6):
        own: dict[str, Any] = {name: value.format(1 + i % 2) for name, value in spread.items()}
        decided = bank.decide("11-20T21:30:00", "199.00", **UNREGISTERED, **own)
        assert decided == (APPROVED if i < 5 else OVER_THE_DAY)
    assert bank.decide("11-20T23:59:59", "5.00", **UNREGISTERED) == APPROVED
    assert bank.decide("11-20T23:59:59", "0.01", **UNREGISTERED) == OVER_THE_DAY
    assert bank.decide("11-21T00:00:00", "190.00", **UNREGISTERED) == APPROVED


def test_pix_automatico_is_in_no_sum_whatever_becomes_of_it(history_store: Store) -> None:
    bank = Bank(history_store, "published")
    bill: dict[str, Any] = {**UNREGISTERED, "initiation_form": "AUTO", "payer__limits": {"day": "1000.00"}}
    settled, refused = (bank.ask("11-20T12:00:00", "900.00", **bill) for _ in range(2))
    bank.tell(settled, "SETTLED")
    for status in ("REJECTED", "SETTLED"):  # the later word outweighs the refusal
        bank.tell(refused, status, seconds=30)
    by_hand = bank.ask("11-20T12:02:00", "150.00", **UNREGISTERED, payer__limits={"day": "1000.00"})
    assert decision_of(by_hand) == APPROVED
    assert feature(by_hand, "day_limit_left") == feature(by_hand, "device_day_limit_left") == 850
    assert feature(by_hand, "payer_sent_count_1d") == pytest.approx(2, abs=0.01)
    bank.replay()


def test_another_customer_with_that_device_has_a_limit_of_his_own(bank: Bank) -> None:
    for _ in range(5):
        bank.pay("11-20T12:00:00", "200.00", **UNREGISTERED)
    assert bank.decide("11-20T12:00:00", "1.00", **UNREGISTERED) == OVER_THE_DAY
    other: dict[str, Any] = {"payer__tax_id": "39053344705", "payer__account": "777"}
    assert bank.decide("11-20T12:00:00", "1.00", **UNREGISTERED, **other) == APPROVED


def test_three_pix_of_900_at_night_between_persons(bank: Bank) -> None:
    decided = [bank.decide(f"11-20T2{i}:00:00", "900.00", 10 + i) for i in range(1, 4)]
    assert decided == [APPROVED, AT_NIGHT, AT_NIGHT]
    assert bank.decide("11-21T05:59:59", "100.00", 14) == APPROVED
    assert bank.decide("11-21T20:00:00", "900.00", 15) == APPROVED


@pytest.mark.parametrize(
    "parties",
    [{"payer__tax_id": COMPANY}, {"payee__tax_id": COMPANY}, {"payer__entrepreneur": True}],
    ids=["from a company", "to a company", "from an entrepreneur"],
)
def test_a_night_limit_is_not_meant_for_companies(bank: Bank, parties: dict[str, Any]) -> None:
    assert bank.decide("11-20T23:00:00", "5000.00", **parties) == APPROVED


def test_what_a_company_was_paid_at_night_leaves_the_limit_between_persons(bank: Bank) -> None:
    bank.pay("11-20T21:00:00", "5000.00", payee__tax_id=COMPANY)
    assert bank.decide("11-20T22:00:00", "1000.00", 2) == APPROVED


def test_a_night_from_22h_and_own_limits(bank: Bank) -> None:
    later: dict[str, Any] = {"payer__limits": {"night_from": "22:00"}}
    assert bank.decide("11-20T21:59:59", "900.00", 1, **later) == APPROVED
    assert bank.decide("11-20T22:00:00", "1000.00", 2, **later) == APPROVED
    assert bank.decide("11-20T22:00:01", "0.01", 3, **later) == AT_NIGHT
    own: dict[str, Any] = {"payer__limits": {"night": "100.00", "day": "150.00"}}
    assert bank.decide("11-22T23:00:00", "100.01", 4, **own) == ("REJECT", ["CUSTOMER_NIGHT_LIMIT"])
    assert bank.decide("11-22T23:00:00", "100.00", 4, **own) == APPROVED
    assert bank.decide("11-23T12:00:00", "150.01", 4, **own) == ("REJECT", ["CUSTOMER_DAY_LIMIT"])


def test_the_publishers_own_figures_win(bank: Bank) -> None:
    spent: dict[str, Any] = {"payer__spent": {"night": "600.00", "unregistered_devices_today": "990.00"}}
    assert bank.decide("11-20T23:00:00", "400.01", **spent) == AT_NIGHT
    assert bank.decide("11-20T23:01:00", "400.00", **spent) == APPROVED
    assert bank.decide("11-20T12:00:00", "10.01", **UNREGISTERED, **spent) == OVER_THE_DAY
    assert bank.decide("11-20T12:00:00", "10.00", **UNREGISTERED, **spent) == APPROVED


def test_without_history_a_norm_holds_and_a_later_delivery_repeats_it(bank: Bank) -> None:
    bank.history.away = True
    away = bank.ask("11-20T23:00:00", "999999.00")
    assert decision_of(away) == AT_NIGHT
    assert (away.degraded, away.history_sequence) == (True, None)
    assert bank.ask("11-20T12:00:00", "50.00", **UNREGISTERED).decision == "HOLD"
    bank.history.away = False
    assert bank.decide("11-20T23:30:00", "1000.00") == APPROVED


def test_what_is_in_flight_counts_until_it_is_refused(history_store: Store) -> None:
    bank = Bank(history_store, "published")
    first = bank.ask("11-20T21:00:00", "800.00", 1)
    assert decision_of(bank.ask("11-20T21:01:00", "300.00", 2)) == AT_NIGHT
    bank.tell(bank.tables.scores[-1], "EXPIRED", seconds=30)
    assert decision_of(bank.ask("11-20T21:02:00", "200.00", 3)) == APPROVED
    assert decision_of(bank.ask("11-20T21:03:00", "0.01", 4)) == AT_NIGHT
    bank.tell(bank.tables.scores[-1], "CANCELLED", seconds=30)
    bank.tell(first, "REJECTED", seconds=240)
    bank.tell(first, "REJECTED", seconds=240)
    assert decision_of(bank.ask("11-20T21:05:00", "800.00", 5)) == APPROVED
    bank.tell(first, "SETTLED", seconds=240)  # outweighs the REJECTED before
    assert decision_of(bank.ask("11-20T21:06:00", "0.01", 6)) == AT_NIGHT
    bank.replay()
