"""A Pix of the control group lives as its milder decision has it, and a replay of its row finds the same."""

from __future__ import annotations

import datetime as dt

import pytest

from shared.adapters.memory.learning import MemoryLedger
from shared.learning.lifecycle.control import ControlCommands
from shared.learning.lifecycle.pointer import publish, read_pointer, swap
from shared.scoring.control import Budget
from tests.functions.bank import Bank, feature
from tests.functions.test_swap import CAUSE
from tests.unit.learning.bundles import small_bundle

LARGE = 10**12
HELD, REJECTED = "150.00", "3000.00"
"""Amounts that the model holds and rejects."""


@pytest.fixture
def bank(bank: Bank) -> Bank:
    """Return a bank whose model holds and rejects, and whose control group takes whoever has a chance."""
    publish(bank.blobs, "v1", small_bundle("v1", slope=0.001))
    swap(bank.blobs, read_pointer(bank.blobs), "v1", CAUSE)
    bank.champion.look()
    return bank


def turn_on(bank: Bank) -> None:
    commands = ControlCommands(bank.blobs, MemoryLedger(), lambda: dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "tests")
    commands.turn(Budget(1.0, 1.0, pix=LARGE, day=LARGE, month=LARGE, review=4_00, reserved=0), "")
    bank.champion.look()


def test_a_paid_one_counts_as_paid_and_a_held_one_as_held(bank: Bank) -> None:
    assert bank.pay("11-20T12:00", HELD).decision == "HOLD"
    assert feature(bank.pay("11-20T12:05", HELD), "payer_sent_count_1h") == 0, "asked for, and not paid"
    turn_on(bank)
    paid = bank.pay("11-20T12:10", HELD)
    assert (paid.decision, paid.policy_decision) == ("APPROVE", "HOLD")
    held = bank.pay("11-20T12:15", REJECTED)
    assert (held.decision, held.policy_decision) == ("HOLD", "REJECT")
    assert feature(held, "payer_sent_count_1h") == pytest.approx(1, abs=0.1)
    assert feature(bank.pay("11-20T12:20", HELD), "payer_sent_count_1h") == pytest.approx(1, abs=0.2)
