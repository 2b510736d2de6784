"""A verdict stands until a stronger one, in history and in its rows, however often and in whatever order it comes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from shared.contract.rows import ScoreRow
from tests.functions.bank import Bank, feature

OPEN: dict[str, Any] = {"status": "OPEN", "analysis_result": None, "fraud_type": None}
CANCELLED = OPEN | {"status": "CANCELLED"}
ACKNOWLEDGED = OPEN | {"status": "ACKNOWLEDGED"}
AGREED: dict[str, Any] = {"status": "CLOSED", "analysis_result": "AGREED"}
MED_OF_THE_CUSTOMER: dict[str, Any] = {"report_id": "m-2"}


def frauds(bank: Bank, local: str, payee: int = 1) -> float:
    """Return the frauds of a payee that history knows, as the next Pix sees them."""
    return round(feature(bank.ask(local, "10.00", payee, payer__account="555"), "payee_frauds_30d"), 1)


def analyst(row: ScoreRow, verdict: str, report: str = "a-1") -> dict[str, Any]:
    about = {"source": "ANALYST", "report_id": report, "end_to_end_id": row.event.end_to_end_id}
    return about | {"verdict": verdict, "analyst": "someone"}


@pytest.mark.parametrize("later", [OPEN, ACKNOWLEDGED, CANCELLED], ids=["open", "acknowledged", "cancelled"])
def test_an_analysts_verdict_stands_while_the_customers_report_is_open(bank: Bank, later: dict[str, Any]) -> None:
    row = bank.pay("11-20T12:00:00", "500.00")
    bank.judge(analyst(row, "FRAUD"), "11-20T13:00:00")
    bank.report(row, "11-20T14:00:00", **MED_OF_THE_CUSTOMER, **OPEN)
    bank.report(row, "11-20T15:00:00", **MED_OF_THE_CUSTOMER, **later)
    assert frauds(bank, "11-20T16:00:00") == 1
    assert bank.tables.scores[-1].decision == "HOLD"
    bank.judge(analyst(row, "LEGITIMATE"), "11-20T17:00:00")
    assert frauds(bank, "11-20T18:00:00") == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_reports_with_one_time_have_one_verdict_in_any_order(bank: Bank, order: Sequence[int]) -> None:
    row = bank.pay("11-20T12:00:00", "500.00")
    states = [OPEN, AGREED, OPEN]
    for i in (*order, *order):
        bank.report(row, "11-20T13:00:00", **states[i])
    assert frauds(bank, "11-20T14:00:00") == 1
    for i in reversed(order):
        bank.report(row, "11-20T13:00:00", **states[i])
    assert frauds(bank, "11-20T14:01:00") == 1


def test_the_payee_of_a_hop_is_a_fraudster_and_its_payer_no_victim(bank: Bank) -> None:
    victim: dict[str, Any] = {"payer__account": "1"}
    mule: dict[str, Any] = {"payer__tax_id": "98765432100", "payer__ispb": "87654321", "payer__account": "9001"}
    root = bank.pay("11-20T12:00:00", "500.00", 1, **victim)
    hop = bank.pay("11-20T12:05:00", "490.00", 2, **mule)
    recovery: dict[str, Any] = {"funds_recovery_id": "r-1", "root_end_to_end_id": root.event.end_to_end_id}
    bank.report(root, "11-21T12:00:00", report_id="m-1", hop=1, **recovery)
    bank.report(hop, "11-21T12:00:00", report_id="m-2", hop=2, **recovery)
    of_victim = bank.ask("11-22T12:00:00", "1.00", 5, **victim)
    of_mule = bank.ask("11-22T12:00:00", "1.00", 5, **mule)
    assert feature(of_victim, "payer_victim_30d") == pytest.approx(1, abs=0.05)
    assert feature(of_mule, "payer_victim_30d") == pytest.approx(0, abs=1e-6)
    assert [frauds(bank, "11-22T12:00:00", payee) for payee in (1, 2)] == [1, 1]
    assert feature(bank.ask("11-22T12:01:00", "1.00", 2, **victim), "payee_usual_hop") == pytest.approx(2)
    bank.report(hop, "11-23T12:00:00", report_id="m-2", hop=2, **recovery, **CANCELLED)
    assert [frauds(bank, "11-23T13:00:00", payee) for payee in (1, 2)] == [1, 0]


def test_a_report_before_its_pix_comes_again_and_counts(bank: Bank) -> None:
    other = bank.pay("11-20T12:00:00", "10.00", 3)
    minute = other.event.end_to_end_id[:21]
    bank.report(f"{minute}aaaaaaaaaaa", "11-20T13:00:00", expected=503)
    assert bank.tables.reports == []
    row = bank.pay("11-20T12:00:00", "10.00", end_to_end_id=f"{minute}aaaaaaaaaaa")
    bank.report(row, "11-20T13:00:00")
    assert frauds(bank, "11-20T14:00:00") == 1


def test_a_report_ahead_of_the_clock_waits(bank: Bank) -> None:
    row = bank.pay("11-20T12:00:00", "10.00")
    early = {"source": "CUSTOMER", "report_id": "c-1", "end_to_end_id": row.event.end_to_end_id}
    assert bank.push("label", early | {"status": "CONTESTED", "reported_at": "2026-11-20T15:10:00Z"}) == 503
    assert bank.tables.reports == []


def test_a_cancelled_marker_takes_the_verdict_of_its_report_back(bank: Bank) -> None:
    row = bank.pay("11-20T12:00:00", "500.00")
    bank.report(row, "11-21T12:00:00", report_id="m-1")
    marker = {"source": "FRAUD_MARKER", "report_id": "f-1", "tax_id": "98765432100", "fraud_type": "MULE_ACCOUNT"}
    marker |= {"infraction_report_id": "m-1"}
    bank.judge(marker | {"status": "REGISTERED"}, "11-21T12:00:01")
    assert frauds(bank, "11-21T13:00:00") == 1
    bank.judge(marker | {"status": "CANCELLED"}, "11-22T12:00:00")
    assert frauds(bank, "11-22T13:00:00") == 0


def test_a_cancelled_refund_marks_the_payer_of_the_original(bank: Bank) -> None:
    row = bank.pay("11-20T12:00:00", "500.00", payer__account="4321")
    if not bank.published:
        bank.tell(row, "SETTLED")
    id_ = bank.give_back(row, "500.00")
    bank.report(id_, "11-21T12:00:00", report_id="m-9", reason="REFUND_CANCELLED")
    payer: dict[str, Any] = {"payee__ispb": "12345678", "payee__account": "4321", "payee__tax_id": "12345678909"}
    to_him = bank.ask("11-21T13:00:00", "10.00", payer__account="777", payer__tax_id="39053344705", **payer)
    assert feature(to_him, "payee_frauds_30d") == pytest.approx(1, abs=0.05)
    assert frauds(bank, "11-21T13:00:00") == 0
