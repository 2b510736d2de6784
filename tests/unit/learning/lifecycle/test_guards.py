"""The guards of a test on live traffic: what trips them, and how often they trip where nothing is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jobs
from shared.learning import config
from shared.learning.judging.live_rejects import RejectSums
from shared.learning.lifecycle.guards import ArmCounts, Reading, above, tripped
from shared.scoring.challenge import CHALLENGER, CHAMPION

SHIPPED = config.load(Path(jobs.__file__).parent / "config.yaml")
SPEC, COSTS = SHIPPED.ramp.guards, SHIPPED.costs.by_side
USUAL = {"held": 60, "rejected": 20, "degraded": 10, "unscored": 5, "slow": 20, "reported": 12, "contested": 12}
MANY = ArmCounts(10_000, **USUAL)


def reading(own: ArmCounts, champion: ArmCounts = MANY) -> Reading:
    arms = {CHALLENGER: own, CHAMPION: champion}
    return Reading(arms, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("held", 200), ("rejected", 100), ("degraded", 60), ("reported", 70), ("contested", 70), ("unscored", 1_000)],
)
def test_an_arm_that_is_much_worse_trips_the_guard_of_that_measure(name: str, value: int) -> None:
    reason = tripped(reading(ArmCounts(10_000, **{**USUAL, name: value})), None, SPEC, COSTS)
    assert reason
    assert reason.startswith(name)
    assert tripped(reading(MANY), None, SPEC, COSTS) is None


def test_a_challenger_that_lets_everything_pass_trips_a_guard() -> None:
    reason = tripped(reading(ArmCounts(10_000, **{**USUAL, "held": 4, "rejected": 0})), None, SPEC, COSTS)
    assert reason
    assert reason.startswith("stopped")


def test_decisions_that_come_late_trip_a_guard_in_the_shadow_too() -> None:
    slow = {CHAMPION: ArmCounts(1_000, slow=200)}
    reason = tripped(Reading(slow, {}), None, SPEC, COSTS)
    assert reason
    assert reason.startswith("slow")


def test_the_last_minutes_are_judged_apart_from_a_long_stage() -> None:
    days = {CHALLENGER: ArmCounts(1_000_000, held=6_000), CHAMPION: ArmCounts(1_000_000, held=6_000)}
    minutes = {CHALLENGER: ArmCounts(1_000, held=60), CHAMPION: ArmCounts(1_000, held=6)}
    assert tripped(Reading(days, {}), None, SPEC, COSTS) is None
    assert tripped(Reading(days, minutes), None, SPEC, COSTS)


def test_an_arm_without_a_champion_is_judged_by_the_champion_of_the_stage_before() -> None:
    alone = Reading({CHALLENGER: ArmCounts(10_000, held=200)}, {})
    assert tripped(alone, None, SPEC, COSTS) is None, "nothing to compare with"
    assert tripped(alone, MANY, SPEC, COSTS)
    assert tripped(Reading({CHALLENGER: MANY}, {}), MANY, SPEC, COSTS) is None


def test_the_ceiling_on_good_customers_rejected_holds_on_each_side_and_for_the_last_minutes() -> None:
    arms = {CHAMPION: MANY}
    assert tripped(Reading(arms, {}, {"PAYER": RejectSums(9_900.0, 19.0)}), None, SPEC, COSTS) is None
    for stage, minutes in (({"PAYEE": RejectSums(9_900.0, 60.0)}, {}), ({}, {"PAYEE": RejectSums(9_900.0, 60.0)})):
        reason = tripped(Reading(arms, arms, stage, minutes), None, SPEC, COSTS)
        assert reason
        assert reason.startswith("ceiling: the challenger rejects 0.606% of good customers on the payee's side")
    few = {CHAMPION: ArmCounts(100)}
    assert tripped(Reading(few, {}, {"PAYER": RejectSums(99.0, 9.0)}), None, SPEC, COSTS) is None


def test_few_events_trip_no_guard() -> None:
    assert tripped(reading(ArmCounts(100, held=2, reported=1)), None, SPEC, COSTS) is None
    assert tripped(reading(ArmCounts(30, held=30)), None, SPEC, COSTS), "but a few are enough where they are all"


def test_an_arm_at_its_limit_trips_by_chance_no_more_often_than_the_level() -> None:
    chance = np.random.default_rng(16)
    level, ratio, pix = 0.01, 1.5, (500, 4_500)
    for share in (0.004, 0.05):
        own, others = chance.binomial(pix[0], ratio * share, 4_000), chance.binomial(pix[1], share, 4_000)
        both = zip(own.tolist(), others.tolist(), strict=True)
        trips = sum(above((a, pix[0]), (b, pix[1]), ratio, level) for a, b in both)
        assert trips <= 4_000 * level * 1.5
