"""Models of the benchmark."""

from __future__ import annotations

from shared.features.catalogue import FEATURE_NAMES
from tests.benchmarks.handbook.models import ALL_HISTORY, WEEK_ONLY


def test_candidates_name_features_of_the_product() -> None:
    named = {name for regime in (WEEK_ONLY, ALL_HISTORY) for each in regime.candidates for name in each.features}
    assert named <= set(FEATURE_NAMES)
