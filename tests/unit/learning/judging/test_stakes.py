"""Decisions without a label in the gate: what the predecessor stopped may not promote its successor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.data.unjudged import Unjudged
from shared.learning.judging import comparison
from shared.learning.judging.gate import UNKNOWABLE
from shared.learning.judging.review import Review, review
from shared.learning.judging.stakes import Opinion, UnjudgedRows, stakes
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision
from shared.scoring.thresholds import SideThresholds
from tests.unit.learning.judging.reviews import DATA, RULES, SPACIOUS, TEST, lost
from tests.unit.learning.synthetic import QUICK

COSTS = QUICK.costs
DECISIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 1)), min_size=1, max_size=30)


def of_rows(rows: int, weight: float = 1.0) -> UnjudgedRows:
    none = np.zeros(rows, np.int8)
    amount = np.linspace(10, 1_000, rows)
    features, served = np.zeros((rows, 1), np.float32), np.full(rows, np.nan)
    return UnjudgedRows(features, np.arange(rows), amount, served, np.full(rows, weight), none.astype(bool), none)


def reviewed(strong: Bundle, weak: Bundle, unjudged: Unjudged | None) -> Review:
    period = comparison.TestPeriod.of(DATA, TEST, RULES, SPACIOUS, unjudged=unjudged)
    return review(period, [(strong, 0.6)], weak, SPACIOUS.gate)


def stopped_by_weak_alone(strong: Bundle, weak: Bundle) -> np.ndarray:
    """Return the rows that the champion stops and the challenger approves."""

    def stops(bundle: Bundle) -> np.ndarray:
        thresholds: SideThresholds = bundle.thresholds
        scores = bundle.score(np.ascontiguousarray(DATA.features[TEST]))
        found: np.ndarray = thresholds.reached(scores, np.zeros(len(scores), bool)) > Decision.APPROVE
        return found

    found: np.ndarray = np.flatnonzero(stops(weak) & ~stops(strong))
    assert len(found) > 20
    return found


def test_a_saving_that_the_predecessors_stops_would_undo_is_not_known(strong: Bundle, weak: Bundle) -> None:
    rows = stopped_by_weak_alone(strong, weak)
    few, many = (reviewed(strong, weak, lost(weight, rows)) for weight in (0.01, 100.0))
    assert few.verdict.outcome == "PROMOTE"
    assert many.verdict.outcome == "TOO_FEW"
    [reason] = many.verdict.reasons
    assert f"on {100 * len(rows):,} of {100 * len(rows):,} decisions without a label" in reason
    assert many.look.level > 0  # the saving was tested, so the look is spent
    assert many.verdict.saving == few.verdict.saving


def test_figures_of_what_is_at_stake_are_recorded(strong: Bundle, weak: Bundle) -> None:
    rows = stopped_by_weak_alone(strong, weak)
    found = reviewed(strong, weak, lost(2.0, rows))
    figures, at = found.metrics(), found.verdict.stakes
    assert at is not None
    assert figures["unjudged_rows"] == figures["unjudged_differing_rows"] == 2 * len(rows)
    assert figures["unjudged_brl"] == pytest.approx(2 * DATA.amount[TEST][rows].sum())
    assert figures["unjudged_saving_per_million_if_fraud"] < figures["unjudged_saving_per_million"]
    assert figures["unjudged_saving_per_million"] < figures["unjudged_saving_per_million_if_legitimate"]
    assert (at.served.low, at.served.high) == (0.25, 0.75)
    assert figures["overall_saving_per_million"] == pytest.approx(found.verdict.saving + at.saving)
    assert weak.thresholds.payer.hold <= at.scores.low <= at.scores.high


def test_only_decisions_of_the_days_that_are_judged_count(strong: Bundle, weak: Bundle) -> None:
    rows = stopped_by_weak_alone(strong, weak)
    before = dataclasses.replace(lost(100.0, rows), initiated_at=np.zeros(len(rows), np.int64))
    verdict = reviewed(strong, weak, before).verdict
    assert verdict.promote
    assert verdict.stakes is not None
    assert verdict.stakes.rows == 0


def test_a_set_that_was_stored_without_them_promotes_nothing(strong: Bundle, weak: Bundle) -> None:
    found = reviewed(strong, weak, None)
    [check] = [check for check in found.verdict.checks if check.name == UNKNOWABLE]
    assert "stored without them" in check.text
    assert (found.verdict.outcome, check.passed, check.lacks_data) == ("TOO_FEW", False, True)
    assert found.verdict.stakes is None
    assert found.verdict.overall is None
    assert not any(name.startswith("unjudged") for name in found.metrics())


def test_a_large_decision_without_a_label_widens_the_interval_of_the_saving_with_them(
    strong: Bundle, weak: Bundle
) -> None:
    rows = stopped_by_weak_alone(strong, weak)
    even = lost(2.0, rows)
    amount = np.full(len(rows), even.amount.mean() / 10)
    amount[0] = even.amount.sum() - amount[1:].sum()
    one_large = dataclasses.replace(even, amount=amount)

    def width(unjudged: Unjudged) -> float:
        overall = reviewed(strong, weak, unjudged).verdict.overall
        assert overall is not None
        assert overall.interval.low < overall.value < overall.interval.high
        return overall.interval.high - overall.interval.low

    none = reviewed(strong, weak, even.at(np.zeros(len(rows), bool))).verdict
    assert none.overall == (none.saving, none.saving_interval)
    assert width(one_large) > 1.2 * width(even)


def test_against_rules_alone_all_that_a_challenger_stops_in_addition_is_taken_for_legitimate() -> None:
    rows = of_rows(10)
    held, nothing = np.full(10, Decision.HOLD, np.int8), np.zeros(10, np.int8)
    found = stakes(Opinion(np.full(10, 0.9), held), Opinion(None, nothing), rows, COSTS, 1_000.0)
    assert found.saving == found.if_legitimate < 0 < found.if_fraud
    assert np.isnan(found.scores.low)


@given(DECISIONS)
def test_the_expected_saving_is_within_the_bounds_of_each_row_and_alike_decisions_stake_nothing(
    drawn: list[tuple[int, int, float]],
) -> None:
    new, old = (np.array([row[i] for row in drawn], np.int8) for i in (0, 1))
    scores, rows = np.array([row[2] for row in drawn]), of_rows(len(drawn), 3.0)
    found = stakes(Opinion(scores, new), Opinion(scores, old), rows, COSTS, 1_000.0)
    one_by_one = [
        stakes(Opinion(scores[[i]], new[[i]]), Opinion(scores[[i]], old[[i]]), _row(rows, i), COSTS, 1_000.0)
        for i in range(len(drawn))
    ]
    least = sum(min(one.if_legitimate, one.if_fraud) for one in one_by_one)
    most = sum(max(one.if_legitimate, one.if_fraud) for one in one_by_one)
    assert least - 1e-6 <= found.saving <= most + 1e-6
    assert found.differing == 3 * (new != old).sum()
    same = stakes(Opinion(scores, old), Opinion(scores, old), rows, COSTS, 1_000.0)
    assert (same.differing, same.saving, same.if_fraud, same.if_legitimate) == (0, 0, 0, 0)


def _row(rows: UnjudgedRows, i: int) -> UnjudgedRows:
    return UnjudgedRows._make(column[[i]] for column in rows)
