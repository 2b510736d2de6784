"""Planted challengers of known worth before the gate, and looks at equals: a small part of `make bench-gate`."""

from __future__ import annotations

import pytest

from tests.benchmarks.gate import equals
from tests.benchmarks.gate_worlds.planted import KINDS, SETTINGS, WORTH_PROMOTING, Kind, Setting, judged
from tests.unit.learning.synthetic import CONFIG


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: f"{setting.prevalence:g}")
@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_challenger_gets_the_outcome_that_it_deserves(kind: Kind, setting: Setting) -> None:
    found = judged(kind, setting, 0, CONFIG)
    assert found.right, (found.verdict.reasons, found.suspicions)
    assert found.promoted == (kind in WORTH_PROMOTING)
    assert found.verdict.detectable > 0


def test_a_few_runs_of_nightly_looks_promote_no_equal() -> None:
    found = equals(4, CONFIG)
    assert found.false_promotions == 0
    assert found.error_ratio < 0.9
