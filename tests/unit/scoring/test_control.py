"""The draw of the control group: who has a chance, and who is drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Misconfigured
from shared.scoring.control import Budget, Lottery, chances
from shared.scoring.thresholds import OFF, SideThresholds, Thresholds

CAP = 1_000_00
BUDGET = Budget(0.2, 0.2, pix=CAP, day=CAP, month=CAP, review=4_00, reserved=0)
SCORES = st.floats(0.0, 1.0)
AMOUNTS = st.integers(1, 2 * CAP)
LEVELS = st.one_of(st.floats(0.01, 1.0), st.just(OFF))
THRESHOLDS = st.tuples(LEVELS, LEVELS).map(lambda pair: Thresholds(min(pair), max(pair)))


def chance(score: float, amount: int, thresholds: Thresholds, payee: bool = False) -> float:
    other = Thresholds(OFF, OFF)
    both = SideThresholds(other, thresholds) if payee else SideThresholds(thresholds, other)
    return float(chances(BUDGET, both, np.array([score]), np.array([payee]), np.array([amount]))[0])


@given(SCORES, AMOUNTS, THRESHOLDS, st.booleans())
def test_a_chance_is_at_most_the_share_and_none_without_a_stop_or_above_the_cap(
    score: float, amount: int, thresholds: Thresholds, payee: bool
) -> None:
    found = chance(score, amount, thresholds, payee)
    assert 0 <= found <= BUDGET.share
    if score < thresholds.hold or amount >= CAP:
        assert found == 0
    if thresholds.hold <= score < min(thresholds.reject, 1.0) and amount < CAP:
        assert found > 0


@given(st.tuples(SCORES, SCORES), AMOUNTS, THRESHOLDS)
def test_a_chance_falls_with_the_score_within_a_decision(
    pair: tuple[float, float], amount: int, thresholds: Thresholds
) -> None:
    low, high = sorted(pair)
    severities = thresholds.reached(np.array([low, high]))
    if severities[0] == severities[1]:
        assert chance(low, amount, thresholds) >= chance(high, amount, thresholds)


@given(SCORES, st.tuples(AMOUNTS, AMOUNTS), THRESHOLDS)
def test_a_chance_falls_with_the_amount(score: float, pair: tuple[int, int], thresholds: Thresholds) -> None:
    low, high = sorted(pair)
    assert chance(score, low, thresholds) >= chance(score, high, thresholds)


def test_a_rejected_pix_has_a_share_of_its_own() -> None:
    both = SideThresholds(Thresholds(0.2, 0.6), Thresholds(OFF, OFF))
    budget = Budget(0.1, 0.4, pix=CAP, day=CAP, month=CAP, review=4_00, reserved=0)
    found = chances(budget, both, np.array([0.2, 0.6]), np.zeros(2, dtype=bool), np.zeros(2, dtype=np.int64))
    assert found.tolist() == pytest.approx([0.1, 0.4])


def test_a_day_is_not_reserved_as_a_whole() -> None:
    with pytest.raises(ValueError, match="reserved"):
        Budget(0.1, 0.1, CAP, CAP, CAP, 0, reserved=CAP)


def test_a_share_of_many_ids_is_drawn_on_each_side_by_itself() -> None:
    lottery, ids = Lottery(b"secret"), [f"E12345678202611201432{n:011d}" for n in range(20_000)]
    numbers = {side: np.array([lottery(id_, side).number for id_ in ids]) for side in ("PAYER", "PAYEE")}
    for share, side in itertools.product((0.02, 0.3), numbers):
        drawn = np.mean(numbers[side] < share)
        assert abs(drawn - share) < 5 * np.sqrt(share * (1 - share) / len(ids))
    assert abs(np.corrcoef(numbers["PAYER"], numbers["PAYEE"])[0, 1]) < 0.05


@given(st.text(), st.sampled_from(["PAYER", "PAYEE"]))
def test_a_ticket_is_the_same_wherever_it_is_drawn_and_another_under_another_secret(id_: str, side: str) -> None:
    ticket = Lottery(b"secret")(id_, side)
    assert ticket == Lottery(b"secret")(id_, side)
    assert ticket != Lottery(b"another")(id_, side)
    assert 0 <= ticket.number < 1
    assert not id_ or len(id_) < 3 or id_ not in ticket.name


def test_without_a_secret_nobody_draws() -> None:
    with pytest.raises(Misconfigured, match="PIX_HMAC_KEY"):
        Lottery(b"")


@pytest.mark.parametrize(("pix", "day", "month"), [(2, 1, 3), (1, 3, 2)])
def test_the_amounts_of_a_budget_rise(pix: int, day: int, month: int) -> None:
    with pytest.raises(ValueError, match="rise"):
        Budget(0.1, 0.1, pix, day, month, 0, 0)
