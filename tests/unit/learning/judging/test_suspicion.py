"""Suspicions that a feature contains the label."""

from __future__ import annotations

import numpy as np
import pytest

from shared.learning.judging.suspicion import Strengths, strengths, suspicions
from shared.learning.specs.gate import SuspicionSpec

SPEC = SuspicionSpec(told_max=0.4, together_max=0.8, told_rise_max=0.2, importance_rise_max=0.4)
NAMES = ("a", "b", "c", "d")


def found(told: list[np.ndarray], fraud: np.ndarray) -> Strengths:
    """Return the strengths of noise and of features that are 1 for the frauds told."""
    noise = np.random.default_rng(0).normal(size=(len(fraud), len(NAMES))).astype(np.float32)
    for j, one in enumerate(told):
        noise[:, j] = one
    return strengths(noise, NAMES, NAMES, fraud, [("a", 2.0), ("b", 1.0), ("c", -1.0)])


FRAUD = np.arange(20_000) % 100 == 0


@pytest.mark.parametrize("value", [9.0, -9.0, np.nan])
def test_a_feature_tells_frauds_by_its_value_the_opposite_or_being_missing(value: float) -> None:
    column = np.where(FRAUD, value, np.random.default_rng(1).normal(size=len(FRAUD))).astype(np.float32)
    one = found([column], FRAUD)
    assert one.alone["a"] == 1.0
    assert max(one.alone[name] for name in "bcd") < 0.05
    assert one.importance == {"a": 2 / 3, "b": 1 / 3, "c": 0.0}


def test_a_value_that_legitimate_pix_have_as_well_tells_nothing() -> None:
    assert found([np.ones(len(FRAUD))], FRAUD).alone["a"] == 0.0


def test_features_that_each_tell_a_part_are_found_together() -> None:
    part = np.cumsum(FRAUD) % 3
    one = found([(FRAUD & (part == k)).astype(np.float32) for k in range(3)], FRAUD)
    assert (one.together, sorted(one.names)) == (1.0, ["a", "b", "c"])
    assert max(one.alone.values()) < 0.4
    [told] = suspicions(one, None, SPEC)
    assert "together tell 100%" in told


def test_few_frauds_that_a_feature_tells_by_chance_are_no_suspicion() -> None:
    few = Strengths(34, {"a": 0.47}, 0.706, ["a"], {})
    assert suspicions(few, None, SPEC) == []
    assert len(suspicions(Strengths(1_000, {"a": 0.5}, 0.706, ["a"], {}), None, SPEC)) == 1


def test_a_rise_counts_beyond_the_margin_and_beyond_chance() -> None:
    before = Strengths(400, {"a": 0.3}, 0.5, ["a"], {})
    assert suspicions(Strengths(400, {"a": 0.45}, 0.65, ["a"], {}), before, SPEC) == []
    assert len(suspicions(Strengths(400, {"a": 0.6}, 0.8, ["a"], {}), before, SPEC)) == 2
    assert suspicions(Strengths(10, {"a": 0.55}, 0.75, ["a"], {}), before, SPEC) == []


def test_scores_that_come_to_rest_on_one_feature_are_a_suspicion() -> None:
    before = Strengths(400, {"a": 0.3}, 0.5, ["a"], {"a": 0.2, "b": 0.8})
    after = Strengths(400, {"a": 0.3}, 0.5, ["a"], {"a": 0.65, "b": 0.35})
    assert suspicions(after, before, SPEC) == ["a makes 65% of the scores of frauds, 20% before"]
