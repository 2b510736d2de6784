"""The control group in the score path: which decisions become milder, what their rows say, and when it stops."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import Unavailable
from shared.scoring.control import CONTROL, CONTROL_GROUP, Budget
from shared.scoring.thresholds import OFF, SideThresholds, Thresholds
from shared.telemetry.metrics import CONTROL_DRAWN, CONTROL_SPENT
from tests.builders import transaction
from tests.unit.learning.bundles import small_bundle
from tests.unit.scoring.bench import Bench

MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
LARGE = 10**12
WIDE = Budget(1.0, 1.0, pix=LARGE, day=LARGE, month=LARGE, review=4_00, reserved=0)
HELD, REJECTED = "150.00", "2500.00"
"""Amounts that the model holds and rejects: its score rises with the amount."""


@pytest.fixture
def bench() -> Bench:
    """Return a bench on which every Pix with a chance is drawn."""
    bench = Bench(small_bundle("v1", slope=0.001))
    bench.serve("v1")
    return bench


def scored(bench: Bench, amount: str, **changes: Any) -> Any:
    (row,) = bench.score(transaction(amount=amount, **changes))
    return row


def test_without_a_switch_the_policy_decides(bench: Bench) -> None:
    for amount, decision in ((HELD, "HOLD"), (REJECTED, "REJECT")):
        row = scored(bench, amount)
        assert (row.decision, row.policy_decision, row.control_probability) == (decision, None, None)
    assert bench.purse.spent == {}


@pytest.mark.parametrize(
    ("side", "amount", "decision", "policy", "minutes", "cost"),
    [
        ("PAYER", HELD, "APPROVE", "HOLD", None, 150_00),
        ("PAYER", REJECTED, "HOLD", "REJECT", 30, 4_00),
        ("PAYEE", HELD, "APPROVE", "BLOCK", None, 150_00),
        ("PAYEE", REJECTED, "BLOCK", "REJECT", 72 * 60, 4_00),
    ],
)
def test_a_drawn_pix_is_one_step_milder_and_its_row_says_so(
    bench: Bench, side: str, amount: str, decision: str, policy: str, minutes: int | None, cost: int
) -> None:
    plain = scored(bench, amount, side=side, payer__account="1")
    bench.control(WIDE)
    row = scored(bench, amount, side=side)
    assert (row.decision, row.policy_decision) == (decision, policy) == (decision, plain.decision)
    assert 0 < row.control_probability < 1
    assert row.hold_until == (None if minutes is None else row.event.initiated_at + minutes * MINUTE)
    assert row.reasons == [*plain.reasons, CONTROL_GROUP]
    assert set(bench.purse.spent.values()) == {cost}
    assert bench.metrics.value(CONTROL_DRAWN, decision) == 1
    assert bench.metrics.value(CONTROL_SPENT) == cost / 100


def test_history_follows_the_milder_decision(bench: Bench) -> None:
    bench.control(WIDE)
    paid = scored(bench, HELD)
    assert paid.decided_sequence is not None, "by assumption an approved Pix settles"
    after = scored(bench, "1.00")
    assert after.history_sequence == paid.decided_sequence + 1


def test_a_pix_that_is_not_drawn_has_its_chance_in_the_row(bench: Bench) -> None:
    bench.number = 0.999_999
    bench.control(WIDE)
    row = scored(bench, HELD)
    assert (row.decision, row.policy_decision) == ("HOLD", None)
    assert 0 < row.control_probability < bench.number
    assert CONTROL_GROUP not in row.reasons


def test_an_approved_pix_has_no_chance(bench: Bench) -> None:
    bench.control(WIDE)
    never = Thresholds(hold=OFF, reject=OFF)
    assert bench.champion.current
    bench.champion.current.thresholds = SideThresholds(payer=never, payee=never)
    row = scored(bench, HELD)
    assert (row.decision, row.policy_decision, row.control_probability) == ("APPROVE", None, None)


def test_a_pix_on_which_a_rule_fired_is_never_drawn(bench: Bench) -> None:
    bench.control(WIDE)
    row = scored(bench, "250.00", device__registered_at=None)
    assert "UNREGISTERED_DEVICE_TRANSACTION_LIMIT" in row.reasons
    assert (row.decision, row.policy_decision, row.control_probability) == ("REJECT", None, None)


def test_a_degraded_decision_is_never_drawn(bench: Bench) -> None:
    bench.control(WIDE)
    bench.away = True
    row = scored(bench, HELD)
    assert (row.decision, row.degraded, row.control_probability) == ("HOLD", True, None)


def test_an_amount_above_the_cap_has_no_chance(bench: Bench) -> None:
    bench.control(Budget(1.0, 1.0, pix=149_00, day=LARGE, month=LARGE, review=0, reserved=0))
    assert scored(bench, HELD).control_probability is None
    assert scored(bench, "1.00").decision == "APPROVE"


def test_an_empty_purse_leaves_no_chance_to_anyone_whom_it_cannot_pay(bench: Bench) -> None:
    bench.control(Budget(1.0, 1.0, pix=400_00, day=400_00, month=LARGE, review=0, reserved=0))
    rows = bench.score(*(transaction(amount=amount) for amount in (HELD, HELD, HELD)))
    assert [row.decision for row in rows] == ["APPROVE", "APPROVE", "HOLD"]
    assert rows[2].control_probability is None, "drawn, and not paid"
    bench.number = 0.999_999
    assert scored(bench, HELD).control_probability is None, "not drawn, and could not have been paid"
    assert scored(bench, "90.00").control_probability is not None, "there is enough left for that"


def test_what_is_reserved_is_left_for_rejected_pix(bench: Bench) -> None:
    """A rejected Pix that is held costs a review; the amount of one that is paid would have used up the day."""
    bench.control(Budget(1.0, 1.0, pix=3_000_00, day=3_000_00, month=LARGE, review=50_00, reserved=2_800_00))
    assert [scored(bench, HELD).decision for _ in range(2)] == ["APPROVE", "HOLD"]
    rows = [scored(bench, REJECTED) for _ in range(3)]
    assert [(row.policy_decision, row.decision) for row in rows] == [("REJECT", "HOLD")] * 3
    assert sum(bench.purse.spent.values()) == 2 * (150_00 + 3 * 50_00), "of the day and of the month"


def test_rejected_pix_of_a_batch_are_paid_first(bench: Bench) -> None:
    bench.control(Budget(1.0, 1.0, pix=3_000_00, day=3_000_00, month=LARGE, review=2_900_00, reserved=0))
    rows = bench.score(*(transaction(amount=amount) for amount in (HELD, REJECTED)))
    assert [row.decision for row in rows] == ["HOLD", "HOLD"]
    assert [row.policy_decision for row in rows] == [None, "REJECT"]


def test_the_purse_is_full_again_on_another_day(bench: Bench) -> None:
    bench.control(Budget(1.0, 1.0, pix=160_00, day=160_00, month=LARGE, review=0, reserved=0))
    assert [scored(bench, HELD).decision for _ in range(2)] == ["APPROVE", "HOLD"]
    bench.time += DAY
    bench.champion.look()
    assert scored(bench, HELD).decision == "APPROVE"


def test_without_a_purse_the_policy_decides_and_there_was_no_chance(bench: Bench) -> None:
    bench.control(WIDE)
    bench.purse.away = True
    for bench.number in (0.0, 0.999_999):
        row = scored(bench, HELD)
        assert (row.decision, row.policy_decision, row.control_probability) == ("HOLD", None, None)
    bench.purse.away = False
    bench.number, bench.time = 0.0, bench.time + MINUTE
    bench.champion.look()
    assert scored(bench, HELD).decision == "APPROVE"


def test_a_redelivery_is_decided_alike_and_spends_nothing(bench: Bench) -> None:
    """The process dies before history learns that the row is stored; meanwhile others have spent the rest."""
    bench.dies = True
    bench.control(Budget(1.0, 1.0, pix=LARGE, day=LARGE, month=LARGE, review=0, reserved=0))
    message = transaction(amount=HELD)
    (first,) = bench.score(message)
    spent = dict(bench.purse.spent)
    bench.control(Budget(1.0, 1.0, pix=200_00, day=200_00, month=LARGE, review=0, reserved=0))
    bench.time += MINUTE
    bench.champion.look()
    (again,) = bench.score(message)
    names = ("decision", "policy_decision", "reasons", "hold_until", "decided_sequence")
    assert [getattr(again, name) for name in names] == [getattr(first, name) for name in names]
    assert first.decision == "APPROVE"
    assert bench.purse.spent == spent


def test_a_redelivery_of_what_was_not_drawn_then_is_not_drawn_now(bench: Bench) -> None:
    bench.dies = True
    message = transaction(amount=HELD)
    (first,) = bench.score(message)
    bench.control(WIDE)
    (again,) = bench.score(message)
    assert (first.decision, again.decision, again.control_probability) == ("HOLD", "HOLD", None)


def test_a_first_decision_whose_row_could_not_be_stored_stands_after_the_switch_is_off(bench: Bench) -> None:
    bench.control(WIDE)
    message = transaction(amount=HELD)
    bench.table.away = True
    with pytest.raises(Unavailable):
        bench.score(message)
    bench.table.away = False
    bench.control(None)
    (row,) = bench.score(message)
    assert (row.decision, row.policy_decision) == ("APPROVE", "HOLD")
    assert row.control_probability > 0
    assert row.reasons[-1] == CONTROL_GROUP


def test_two_deliveries_in_a_batch_are_one_spend(bench: Bench) -> None:
    bench.control(Budget(1.0, 1.0, pix=160_00, day=160_00, month=LARGE, review=0, reserved=0))
    message = transaction(amount=HELD)
    row, _ = bench.score(message, message)
    assert row.decision == "APPROVE"
    assert set(bench.purse.spent.values()) == {150_00}


def test_a_switch_that_cannot_be_read_is_off(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.control(WIDE)
    assert scored(bench, HELD).decision == "APPROVE"
    bench.blobs.away = True
    bench.time += MINUTE
    assert scored(bench, HELD).decision == "HOLD", "too old"
    bench.blobs.away = False
    bench.champion.look()
    assert scored(bench, HELD).decision == "APPROVE"
    now = bench.blobs.read(CONTROL)
    assert now
    bench.blobs.write(CONTROL, b'{"budget": {"share": 7}}', now.generation)
    bench.champion.look()
    assert scored(bench, HELD).decision == "HOLD"
    assert [each.getMessage() for each in caplog.records if "control group" in each.getMessage()] == [
        "control group refused"
    ]
