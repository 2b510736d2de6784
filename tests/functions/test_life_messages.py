"""Each new message is quarantined by reason, and nothing of a person is stored or logged."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.builders import med_report, transaction
from tests.contract.history_stores import Store
from tests.functions.bank import Bank

ID = "E12345678202611201500aaaaaaaaaaa"
RETURN = "D87654321202611201500aaaaaaaaaaa"
OUTCOME: dict[str, Any] = {"end_to_end_id": ID, "status": "SETTLED", "at": "2026-11-20T15:00:00Z"}
RETURNED = OUTCOME | {"status": "RETURNED", "return_id": RETURN, "amount": "10.00"}
ABOUT: dict[str, Any] = {"report_id": "x-1", "end_to_end_id": ID, "reported_at": "2026-11-20T15:00:00Z"}
MARKER: dict[str, Any] = {"source": "FRAUD_MARKER", "report_id": "x-1", "reported_at": "2026-11-20T15:00:00Z"}
MARKER |= {"tax_id": "98765432100", "fraud_type": "MULE_ACCOUNT", "status": "REGISTERED"}
PERSONAL = ("12345678909", "98765432100", "5511999999999", "device-1", "Maria", "'1234567'", "'7654321'")
"""Literals of the messages; accounts in quotes, as ids of Pix hold their digits by chance."""
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("outcome", OUTCOME | {"end_to_end_id": "E1"}, "end_to_end_id"),
    ("outcome", OUTCOME | {"status": "LOST"}, "status"),
    ("outcome", OUTCOME | {"at": "yesterday"}, "at"),
    ("outcome", {"end_to_end_id": ID, "status": "SETTLED"}, "at"),
    ("outcome", OUTCOME | {"status": "BLOCKED"}, "side"),
    ("outcome", RETURNED | {"return_id": None}, "return_id"),
    ("outcome", RETURNED | {"return_id": ID}, "return_id"),
    ("outcome", RETURNED | {"amount": "0.00"}, "amount"),
    ("outcome", RETURNED | {"amount": "ten"}, "amount"),
    ("label", {"source": "CUSTOMER", **ABOUT, "status": "UPSET"}, "status"),
    ("label", {"source": "CUSTOMER", **ABOUT}, "status"),
    ("label", {"source": "REFUND", **ABOUT, "status": "CLOSED", "amount": "x"}, "amount"),
    ("label", MARKER | {"tax_id": "1"}, "tax_id"),
    ("label", MARKER | {"status": "GONE"}, "status"),
    ("label", med_report(ID, hop=0), "hop"),
    ("label", med_report(ID, infraction_amount="-1"), "infraction_amount"),
    ("score", transaction(payer__limits={"night": "x"}), "payer.limits.night"),
    ("score", transaction(payer__limits={"night_from": "25:00"}), "payer.limits.night_from"),
    ("score", transaction(side="BOTH"), "side"),
]


@pytest.fixture
def quiet(history_store: Store) -> Bank:
    bank = Bank(history_store, "published")
    bank.ask("11-24T12:00:00", "1.00")
    return bank


@pytest.mark.parametrize(("function", "message", "field"), BAD)
def test_a_malformed_message_is_quarantined_by_reason(
    quiet: Bank, function: str, message: dict[str, Any], field: str
) -> None:
    assert quiet.push(function, message) == 204
    ((_, found),) = quiet.tables.refused
    assert found == field
    assert (quiet.tables.told, quiet.tables.reports, len(quiet.tables.scores)) == ([], [], 1)


def test_nothing_of_a_person_is_stored_or_logged(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    row = bank.ask("11-20T12:00:00", "50.00", payer__name="Maria", payee__account="7654321")
    bank.tell(row, "SETTLED", name="Maria")
    bank.give_back(row, "10.00")
    bank.report(row, "11-20T13:00:00", tax_id="12345678909", name="Maria")
    bank.judge(MARKER | {"key": "+5511999999999"}, "11-20T14:00:00")
    bank.push("label", MARKER | {"key": "+5511999999999", "status": "GONE", "name": "Maria"})
    bank.push("outcome", OUTCOME | {"at": "98765432100"})
    bank.push("score", transaction(amount="12345678909x"))
    assert len(bank.tables.refused) == 3
    tables = (bank.tables.score_events, bank.tables.outcomes, bank.tables.feedback, bank.tables.quarantine)
    stored = [repr(each.columns()) for table in tables for each in table.rows]
    logs = [f"{each.getMessage()} {vars(each)}" for each in caplog.records]
    assert stored
    for text in stored + logs:
        assert [literal for literal in PERSONAL if literal in text] == []
