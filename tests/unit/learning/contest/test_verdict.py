"""When a challenger is better, worse, not shown to be either, or there is too little to say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.learning.contest.verdict import ContestEvidence, ContestVerdict, judge
from shared.learning.judging.saving import Saving
from shared.learning.judging.spread import Measured
from tests.unit.learning.synthetic import CONFIG

GATE = CONFIG.gate
SPEC = msgspec.structs.replace(CONFIG.contest, days_min=7, days_max=60, tightest_days=30, differing_frauds_min=20)
CLEAR = Measured(1_000.0, 100.0, 0.0, 30)


def seen(expected: Measured = CLEAR, **changes: Any) -> ContestVerdict:
    """Return the verdict on a saving; `changes` are of the evidence, or of the rest of the saving."""
    rest = {"realised": expected, "gained": 40.0, "lost": 20.0}
    rest |= {name: changes.pop(name) for name in list(changes) if name in rest}
    found = ContestEvidence(30, 500.0, 60.0, Saving(expected=expected, **rest))  # type: ignore[arg-type]  # by name
    return judge(found._replace(**changes), SPEC, GATE)


def test_a_saving_beyond_all_looks_ends_the_comparison() -> None:
    found = seen()
    assert (found.outcome, found.ended) == ("BETTER", True)
    assert found.low is not None
    assert 0 < found.low < 1_000


def test_a_saving_that_one_look_would_show_is_not_shown() -> None:
    found = seen(Measured(200.0, 100.0, 0.0, 30))
    assert Measured(200.0, 100.0, 0.0, 30).lower(GATE.false_promotions) > 0
    assert (found.outcome, found.ended) == ("NOT_SHOWN", False)


def test_a_dearer_challenger_is_worse() -> None:
    found = seen(Measured(-1_000.0, 100.0, 0.0, 30))
    assert (found.outcome, found.ended) == ("WORSE", True)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"realised": Measured(-2_000.0, 300.0, 0.0, 30)}, "by the labels alone"),
        ({"gained": 10.0, "lost": 60.0}, "fewer frauds"),
        ({"unjudged": -1_500.0}, "without a label"),
    ],
)
def test_what_speaks_against_a_better_challenger_keeps_the_champion(changes: dict[str, Any], word: str) -> None:
    found = seen(**changes)
    assert (found.outcome, found.ended) == ("NOT_SHOWN", False)
    assert word in found.reason


def test_a_worse_challenger_that_may_save_on_what_nobody_judged_is_not_called_worse() -> None:
    assert seen(Measured(-1_000.0, 100.0, 0.0, 30), unjudged=1_500.0).outcome == "NOT_SHOWN"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"days": 6}, "6 of 7 days"),
        ({"frauds": 99.0}, "frauds are known"),
        ({"differing_frauds": 19.0}, "only one of both stops 19 of the 20"),
        ({"growth_known": False}, "jobs.monitor"),
    ],
)
def test_too_little_decides_nothing_however_clear_it_looks(changes: dict[str, Any], word: str) -> None:
    found = seen(**changes)
    assert (found.outcome, found.ended, found.saving) == ("TOO_FEW", False, None)
    assert word in found.reason


def test_a_comparison_ends_after_its_days_whatever_it_shows() -> None:
    assert seen(Measured(10.0, 100.0, 0.0, 60), days=60).ended
    assert seen(days=60, frauds=1.0).ended
    assert seen(days=60, frauds=1.0).outcome == "TOO_FEW"


def test_no_fraud_that_only_one_stops_is_too_few() -> None:
    found = judge(ContestEvidence(30, 500.0, 60.0, None), SPEC, GATE)
    assert found.outcome == "TOO_FEW"
    assert found.reason
