"""The two bundles that the benchmark compares differ in their reasons only."""

from __future__ import annotations

import numpy as np

from shared.features.catalogue import FEATURE_NAMES
from shared.scoring.bundle import Bundle
from shared.scoring.thresholds import OFF
from tests.benchmarks.speed.explained import unstopping


def test_both_bundles_score_alike_stop_nothing_and_one_explains_all(trained_bundle: dict[str, bytes]) -> None:
    without, with_ = (Bundle(unstopping(trained_bundle, is_explained=each)) for each in (False, True))
    vectors = np.random.default_rng(0).normal(size=(50, len(FEATURE_NAMES))).astype(np.float32)
    np.testing.assert_array_equal(without.score(vectors), with_.score(vectors))
    assert (without.explains_all, with_.explains_all) == (False, True)
    for each in (without, with_):
        assert (each.thresholds.payer.hold, each.thresholds.payee.hold) == (OFF, OFF)
