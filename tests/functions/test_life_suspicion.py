"""A payee cannot lift a suspicion; words that nobody knows are scored."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functions.bank import Bank, decision_of, feature

APPROVED: tuple[str, list[str]] = ("APPROVE", [])
MARKED_TWICE = {"mule_accounts": {"d90": 2, "m12": 0, "m60": 0}}


@pytest.mark.parametrize("payers", ["one", "many"])
@pytest.mark.parametrize("small", [31, 200])
def test_small_pix_lift_no_hold_of_a_payee_with_a_confirmed_fraud(bank: Bank, small: int, payers: str) -> None:
    victim = bank.pay("11-01T12:00:00", "500.00", payer__account="1")
    bank.report(victim, "11-10T12:00:00")
    for i in range(small):
        bank.pay("11-19T12:00:00", "0.01", payer__account=f"{1000 + (i if payers == 'many' else 0)}")
    row = bank.ask("11-20T12:00:00", "50.00", payer__account="2")
    assert (row.decision, row.reasons[0]) == ("HOLD", "PAYEE_CONFIRMED_FRAUD")


@pytest.mark.parametrize(("side", "decision"), [("PAYER", "HOLD"), ("PAYEE", "BLOCK")])
def test_markers_of_this_month_are_in_d90_alone(bank: Bank, side: str, decision: str) -> None:
    row = bank.ask("11-20T12:00:00", "50.00", side=side, payee_statistics__fraud_markers=MARKED_TWICE)
    assert decision_of(row) == (decision, ["PAYEE_MARKED_IN_DICT"])


@pytest.mark.parametrize(
    "word",
    [
        {"initiation_form": "APES"},
        {"purpose": "IPRT"},
        {"payer__account_type": "OTHR"},
        {"payee__account_type": "OTHR"},
        {"initiation_form": "NEWW"},
        {"purpose": "NEWW"},
        {"payer__account_type": "NEWW"},
        {"payee__key_type": "NEWW"},
        {"service_level": "NEWW"},
    ],
    ids=lambda word: "-".join(*word.items()),
)
def test_every_word_of_an_enum_is_scored(bank: Bank, word: dict[str, Any]) -> None:
    assert decision_of(bank.ask("11-20T12:00:00", "50.00", **word)) == APPROVED
    assert bank.tables.refused == []


def test_a_marker_of_the_person_holds_and_its_cancellation_lifts_it(bank: Bank) -> None:
    first = bank.pay("11-10T12:00:00", "50.00")
    marker = {"source": "FRAUD_MARKER", "report_id": "f-1", "tax_id": "98765432100", "fraud_type": "MULE_ACCOUNT"}
    bank.judge(marker | {"status": "REGISTERED"}, "11-11T12:00:00")
    row = bank.ask("11-12T12:00:00", "50.00", 7)  # another account of that person
    assert (row.decision, row.reasons[0]) == ("HOLD", "PAYEE_MARKED")
    bank.judge(marker | {"status": "CANCELLED"}, "11-13T12:00:00")
    bank.judge(marker | {"status": "REGISTERED"}, "11-11T12:00:00")  # an old state, delivered again
    row = bank.ask("11-14T12:00:00", "50.00", 7)
    assert feature(row, "owner_markers") == pytest.approx(0, abs=1e-6)
    assert row.decision == first.decision == "APPROVE"


def test_a_mule_whose_fraud_was_confirmed_cannot_pass_on_what_comes_next(bank: Bank) -> None:
    mule: dict[str, Any] = {"tax_id": "98765432100", "ispb": "87654321", "account": "9001", "branch": "0001"}
    sends = {f"payer__{name}": value for name, value in mule.items()}
    victim = bank.pay("11-01T12:00:00", "500.00", payer__account="1")
    assert decision_of(bank.ask("11-01T12:30:00", "490.00", 7, payee__tax_id=None, **sends)) == APPROVED
    bank.report(victim, "11-02T12:00:00")
    bank.pay("11-03T12:00:00", "500.00", payer__account="2", payer__tax_id="39053344705")
    bank.tell(bank.tables.scores[-1], "SETTLED")  # after its hold
    held = ("HOLD", ["PAYER_CONFIRMED_FRAUD"])
    assert decision_of(bank.ask("11-03T13:00:00", "490.00", 8, payee__tax_id=None, **sends)) == held
    assert decision_of(bank.ask("11-03T20:00:00", "490.00", 9, payee__tax_id=None, **sends)) == APPROVED
