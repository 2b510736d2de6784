"""Both institutions may ask about one Pix: it counts once, and each has decisions of its own."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.functions.bank import SECOND, Bank, decision_of, feature, message

MARKED = {"mule_accounts": {"d90": 2, "m12": 0, "m60": 0}}


@pytest.mark.parametrize("sides", [("PAYER", "PAYEE"), ("PAYEE", "PAYER")])
def test_both_sides_count_a_pix_once(bank: Bank, sides: tuple[str, str]) -> None:
    asked = message("11-20T12:00:00", "50.00")
    rows = [bank.score(asked | {"side": side}) for side in (*sides, *sides)]
    assert [row.event.side for row in rows] == [*sides, *sides]
    assert len({row.history_sequence for row in rows}) == 1
    differing = ~np.isclose(rows[0].features, rows[1].features, equal_nan=True)
    assert np.count_nonzero(differing) == 1  # the side itself
    for row in rows[:2]:
        bank.tell(row, "SETTLED")
    after = bank.ask("11-20T12:01:00", "50.00")
    assert feature(after, "payer_asked_1h") == pytest.approx(1, abs=0.05)
    assert feature(after, "pair_count_30d") == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("side", "decision", "hours"), [("PAYER", "HOLD", 0.5), ("PAYEE", "BLOCK", 72)])
def test_a_stop_has_an_end_on_either_side(bank: Bank, side: str, decision: str, hours: float) -> None:
    row = bank.ask("11-20T12:00:00", "50.00", side=side, payee_statistics__fraud_markers=MARKED)
    assert decision_of(row) == (decision, ["PAYEE_MARKED_IN_DICT"])
    assert row.hold_until is not None
    assert row.hold_until - row.event.initiated_at == dt.timedelta(hours=hours).total_seconds() * SECOND


def test_no_limit_of_the_payers_institution_stops_a_pix_at_the_payees(bank: Bank) -> None:
    assert bank.ask("11-20T23:00:00", "50000.00", side="PAYEE").decision == "APPROVE"
    assert bank.ask("11-20T23:00:00", "50000.00", 2).decision == "HOLD"


def test_a_payer_that_approves_and_a_payee_that_blocks(bank: Bank) -> None:
    asked = message("11-20T12:00:00", "50.00")
    payer = bank.score(asked)
    statistics = asked["payee_statistics"] | {"fraud_markers": MARKED}
    payee = bank.score(asked | {"side": "PAYEE", "payee_statistics": statistics})
    assert (payer.decision, payee.decision) == ("APPROVE", "BLOCK")
    bank.tell(payer, "SETTLED")
    bank.tell(payee, "BLOCKED", seconds=5)
    blocked = bank.ask("11-20T12:01:00", "50.00", payer__account="9")
    assert feature(blocked, "payee_blocked_share") > 0
    bank.tell(payee, "RELEASED", seconds=3_600)
    bank.tell(payee, "BLOCKED", seconds=5)
    after = bank.ask("11-20T13:10:00", "50.00", payer__account="9")
    assert feature(after, "payee_blocked_share") == pytest.approx(0, abs=1e-6)


def test_a_block_is_no_outcome_of_the_payers_side(bank: Bank) -> None:
    row = bank.ask("11-20T12:00:00", "50.00")
    bank.tell(row, "BLOCKED")
    assert bank.tables.refused == [("invalid_value", "side")]
    assert bank.tables.told == []
