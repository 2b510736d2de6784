"""Returned money leaves no trace but that it was returned; outcomes count once in any order, also late."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from shared.contract.rows import ScoreRow
from shared.features.catalogue import FEATURE_NAMES
from tests.contract.history_stores import Store
from tests.functions.bank import Bank, feature

OWN = {"payee_returned_share"}
"""Features of a return itself."""
ASKED = ("asked", "unsettled", "since_first", "since_last", "burst", "largest")
"""Parts of names of features of attempts, and of marks, which do not fall."""
CUSTOMER: dict[str, Any] = {"payer__account": "1"}


def paid(bank: Bank, local: str, amount: str, payee: int = 1, **changes: Any) -> ScoreRow:
    row = bank.pay(local, amount, payee, **changes)
    assert row.decision == "APPROVE"
    return row


def differing(one: ScoreRow, other: ScoreRow) -> set[str]:
    """Return the features of two rows that differ by more than rounding, without those of attempts and marks.

    A sum that is taken back leaves its float32 rounding, which shows beside what is left of sums of weeks ago.
    """
    equal = np.isclose(one.features, other.features, rtol=2e-2, atol=1e-4, equal_nan=True)
    names = {FEATURE_NAMES[i] for i in np.flatnonzero(~equal).tolist()}
    return {name for name in names if not any(part in name for part in ASKED)}


def looks(bank: Bank) -> list[ScoreRow]:
    """Return the next Pix of the payer to the payee and to another, and of another payer to the payee."""
    at = "11-21T12:00:00"
    return [
        bank.ask(at, "77.00", 1, **CUSTOMER),
        bank.ask(at, "77.00", 2, **CUSTOMER, device__id="device-9"),
        bank.ask(at, "77.00", 1, payer__account="888", device__id="device-8"),
    ]


@pytest.mark.parametrize("parts", [["120.00"], ["50.00", "70.00"], ["0.01", "119.99"]], ids=str)
def test_a_pix_returned_in_full_was_never_paid(history_store: Store, parts: Sequence[str]) -> None:
    seen = []
    for returned in (False, True):
        bank = Bank(history_store, "published")
        for day, account in itertools.product(range(1, 5), ("1", "2")):
            paid(bank, f"11-{day:02d}T12:00:00", f"{day * 20}.00", payer__account=account)
            paid(bank, f"11-{day:02d}T13:00:00", f"{day * 20}.00", 2, payer__account=account)
        row = bank.ask("11-20T12:00:00", "120.00", **CUSTOMER)
        if returned:
            bank.tell(row, "SETTLED")
            for i, part in enumerate(parts):
                bank.give_back(row, part, i)
                bank.give_back(row, part, i)
        else:
            bank.tell(row, "REJECTED")
        seen.append(looks(bank))
        bank.replay()
    without, after = seen
    assert differing(without[0], after[0]) <= OWN | {"payer_since_new_payee"}
    assert differing(without[1], after[1]) == set()
    assert differing(without[2], after[2]) == OWN
    assert feature(after[2], "payee_returned_share") > 0


def test_a_partial_return_leaves_the_rest(bank: Bank) -> None:
    row = paid(bank, "11-20T12:00:00", "100.00", **CUSTOMER)
    bank.give_back(row, "30.00")
    after = bank.ask("11-20T13:00:00", "70.00", **CUSTOMER)
    assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
    assert feature(after, "new_pair") == 0
    bank.give_back(row, "70.00", 2)
    assert feature(bank.ask("11-20T14:00:00", "70.00", 1, **CUSTOMER), "new_pair") == float(bank.published)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_outcomes_count_alike_in_any_order_and_number(history_store: Store, order: Sequence[int]) -> None:
    bank = Bank(history_store, "published")
    row = bank.ask("11-20T12:00:00", "100.00", **CUSTOMER)
    steps: list[Callable[[], object]] = [
        lambda: bank.tell(row, "SETTLED"),
        lambda: bank.tell(row, "REJECTED"),
        lambda: bank.give_back(row, "30.00", 1),
        lambda: bank.give_back(row, "20.00", 2),
    ]
    for i in (*order, *reversed(order)):
        steps[i]()
    after = bank.ask("11-20T13:00:00", "50.00", **CUSTOMER)
    assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
    assert feature(after, "payer_sent_count_30d") == pytest.approx(1, abs=0.01)
    assert len({each.history_sequence for each in bank.tables.told} - {None}) <= 4
    bank.replay()


def test_a_refund_under_the_med_taints_no_victim_and_is_no_sale(bank: Bank) -> None:
    mule: dict[str, Any] = {"payer__tax_id": "98765432100", "payer__ispb": "87654321", "payer__account": "9001"}
    victim: dict[str, Any] = {"payee__tax_id": "12345678909", "payee__ispb": "12345678", "payee__account": "1"}
    stolen = paid(bank, "11-20T12:00:00", "500.00", 1, **CUSTOMER)
    bank.report(stolen, "11-20T13:00:00")
    before = bank.ask("11-20T13:30:00", "10.00", payer__account="888", **victim)
    refund = bank.pay("11-20T14:00:00", "500.00", purpose="IPRT", **mule, **victim)
    assert refund.decision == "APPROVE"
    after = bank.ask("11-20T14:30:00", "10.00", payer__account="889", **victim)
    for name in ("payee_taint_7d", "payee_new_payers_30d", "payee_count_30d"):
        of_before = 0 if bank.published or "taint" in name else 1  # assumed to have settled
        expected = feature(before, name) + of_before
        assert feature(after, name) == pytest.approx(expected, abs=0.01), name
    from_victim = bank.ask("11-20T15:00:00", "10.00", 5, **CUSTOMER)
    assert feature(from_victim, "payer_taint_7d") == pytest.approx(0, abs=1e-6)
    assert feature(bank.ask("11-20T15:01:00", "1.00", purpose="IPRT", **mule, **victim), "new_pair") == 1
    bank.give_back(stolen, "500.00")
    assert feature(bank.ask("11-20T16:00:00", "10.00", 5, **CUSTOMER), "payer_taint_7d") == pytest.approx(0, abs=1e-6)


def test_each_of_many_partial_returns_counts_once(bank: Bank) -> None:
    """Both sides have decided and told all that they can, so the life knows each word that there is."""
    row = paid(bank, "11-20T12:00:00", "120.00", **CUSTOMER)
    received = bank.ask("11-20T12:00:00", "120.00", **CUSTOMER, side="PAYEE", end_to_end_id=row.event.end_to_end_id)
    for status in ("BLOCKED", "RELEASED"):
        bank.tell(received, status)
    for status in ("REJECTED", "SETTLED"):
        bank.tell(row, status)
    for number in [*range(12), *range(12)]:
        bank.give_back(row, "9.00", number)
    places = {each.history_sequence for each in bank.tables.told if each.return_id}
    assert len(places - {None}) == 12
    assert None not in places
    after = bank.ask("11-20T13:00:00", "12.00", **CUSTOMER)
    assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-3)
    bank.replay()


def test_a_word_that_names_a_return_is_the_same_word_as_without(bank: Bank) -> None:
    row = paid(bank, "11-20T12:00:00", "120.00", **CUSTOMER)
    bank.tell(row, "SETTLED")
    bank.tell(row, "SETTLED", return_id="D87654321202611201500abcdefgh001")
    one, other = [each for each in bank.tables.told if each.status == "SETTLED"][-2:]
    assert (other.return_id, other.history_sequence) == (None, one.history_sequence)
    bank.replay()


def test_a_return_more_than_a_life_holds_is_quarantined(history_store: Store) -> None:
    bank = Bank(history_store, "published")
    row = paid(bank, "11-20T12:00:00", "120.00", **CUSTOMER)
    for number in [*range(101), 0]:
        bank.give_back(row, "1.00", number)
    assert bank.tables.refused == [("too_many_returns", "return_id")]
    counted = {each.return_id: each.history_sequence for each in bank.tables.told if each.return_id}
    assert (len(counted), len(set(counted.values()) - {None})) == (100, 100)
    bank.tell(row, "BLOCKED", side="PAYEE")
    assert bank.tables.told[-1].history_sequence is not None
    after = bank.ask("11-20T13:00:00", "20.00", **CUSTOMER)
    assert feature(after, "amount_to_pair_mean") == pytest.approx(1, rel=1e-2)
    bank.replay()
