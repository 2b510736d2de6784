"""Reviews of bundles on the test period."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np

from shared.learning.judging import comparison
from shared.learning.judging.review import Review


def test_the_better_of_two_challengers_is_chosen_and_promoted(reviewed: Review) -> None:
    assert (reviewed.chosen, reviewed.challenger.name) == (1, "strong")
    assert reviewed.verdict.promote, reviewed.verdict.reasons
    assert not reviewed.verdicts[0].promote
    assert list(reviewed.savings) == ["weak", "the rules alone"]
    metrics = reviewed.metrics()
    assert metrics["average_precision_low"] < metrics["average_precision"] < metrics["average_precision_high"]
    assert metrics["rules_cost_per_million"] == reviewed.rules.evaluation.cost_per_million


def test_undefined_figures_are_left_out_of_the_manifest(reviewed: Review, period: comparison.TestPeriod) -> None:
    passing = period.contender("it", np.zeros(1_200), np.zeros(1_200, np.int8), inputs=("amount",))
    metrics = dataclasses.replace(reviewed, challenger=passing).metrics()
    assert np.isnan(passing.evaluation.precision)
    assert not {"precision", "precision_low"} & set(metrics)
    assert msgspec.json.decode(msgspec.json.encode(metrics), type=dict[str, float]) == metrics
