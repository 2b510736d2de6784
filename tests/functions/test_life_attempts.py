"""What was only asked for leaves no trace in what was paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.functions.bank import Bank, decision_of, feature, message

APPROVED: tuple[str, list[str]] = ("APPROVE", [])
AT_NIGHT = ("HOLD", ["NIGHT_LIMIT"])
UNREGISTERED: dict[str, Any] = {"device__registered_at": None}
PAID = (
    *("amount_to_largest", "amount_z_30d", "amount_log_z", "new_pair", "pair_count_30d", "payer_since_first"),
    *("amount_to_payee_mean_30d", "payee_new_payers_30d", "payee_since_first", "amount_to_received_1d"),
)


@pytest.mark.parametrize("first", ["50000.00", "0.01"])
def test_a_held_pix_stays_held_until_one_to_its_payee_settles(bank: Bank, first: str) -> None:
    small = bank.ask("11-20T23:00:00", first)
    held = message("11-20T23:00:20", "50000.00")
    for again in (held, message("11-20T23:00:40", "50000.00"), held):
        row = bank.score(again)
        assert decision_of(row) == AT_NIGHT
    if first == "50000.00":
        assert decision_of(small) == AT_NIGHT
        assert feature(bank.ask("11-21T12:00:00", "1.00"), "new_pair") == 1


def test_a_pair_is_known_once_a_pix_has_settled(bank: Bank) -> None:
    first = bank.ask("11-20T12:00:00", "50.00")
    second = bank.ask("11-20T12:01:00", "50.00")
    assert feature(second, "new_pair") == float(bank.published)
    bank.tell(first, "SETTLED")
    bank.tell(first, "SETTLED")
    assert feature(bank.ask("11-20T12:02:00", "50.00"), "new_pair") == 0


def test_a_redelivered_pix_has_its_first_decision_and_counts_once(bank: Bank) -> None:
    held = message("11-20T23:00:00", "50000.00")
    rows = [bank.score(held) for _ in range(3)]
    assert [decision_of(row) for row in rows] == [AT_NIGHT] * 3
    assert len({(row.history_sequence, row.decided_sequence) for row in rows}) == 1
    for row in rows[1:]:
        np.testing.assert_array_equal(row.features, rows[0].features)


def test_one_rejected_attempt_of_any_amount_changes_nothing_of_what_was_paid(bank: Bank) -> None:
    for day in range(10, 20):
        bank.pay(f"11-{day}T12:00:00", f"{day * 7}.00")
    before = bank.ask("11-20T12:00:00", "100.00")
    bank.tell(before, "REJECTED")
    refused = bank.pay("11-20T12:00:01", "9999999999999.99", **UNREGISTERED)
    after = bank.ask("11-20T12:00:02", "100.00")
    assert refused.decision == "REJECT"
    if bank.published:  # where nobody publishes, `before` was approved, so it counts as paid
        for name in PAID:
            np.testing.assert_allclose(feature(after, name), feature(before, name), rtol=1e-4, err_msg=name)
    assert feature(after, "amount_to_largest") == pytest.approx(100 / 133)


def test_an_outcome_before_its_pix_comes_again(bank: Bank) -> None:
    later = message("11-20T12:05:00", "70.00")
    outcome = {"end_to_end_id": later["end_to_end_id"], "status": "SETTLED", "at": "2026-11-20T15:05:02Z"}
    bank.ask("11-20T12:05:03", "1.00")
    assert bank.push("outcome", outcome) == 503
    assert bank.tables.told == []
    bank.score(later)
    assert bank.push("outcome", outcome) == 204
    assert feature(bank.ask("11-20T12:06:00", "70.00"), "amount_to_largest") == 1
