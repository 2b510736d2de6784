"""The contribution of each input by bin, in the profile of a bundle."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.learning.data.profile import Profile
from shared.learning.monitoring.histogram import effects_on, weight
from shared.learning.training.explaining.effects import explained_inputs
from shared.learning.training.export import onnx_bytes
from shared.learning.training.train import fit
from tests.unit.learning.bundles import NAMES, small_bundle
from tests.unit.learning.training.samples import labelled


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, bytes, NDArray[np.float32]]:
    """A boosted model that has one of its inputs always at the same value, its export, and rows without gaps."""
    train = labelled(3_000, 0, 0.0)
    train.features[:, 0] = 1.0
    model = fit("hist_gradient_boosting", {"max_iter": 30, "max_leaf_nodes": 8}, train, seed=0)
    return model, onnx_bytes(model, train.features.shape[1]), train.features


def test_contributions_of_single_inputs_add_up(fitted: tuple[Any, bytes, NDArray[np.float32]]) -> None:
    model, onnx, rows = fitted
    found = explained_inputs(model, onnx, rows[:50], rows)
    base = model.decision_function(rows[:50]).mean()
    assert base + found.contributions.sum(axis=1) == pytest.approx(model.decision_function(found.rows), abs=1e-3)


def test_an_input_without_influence_has_none_whatever_becomes_of_it(
    fitted: tuple[Any, bytes, NDArray[np.float32]],
) -> None:
    found = explained_inputs(fitted[0], fitted[1], fitted[2][:50], fitted[2])
    assert np.abs(found.contributions[:, 0]).max() == found.absent[0] == 0
    assert np.abs(found.contributions[:, 3]).mean() > 0.1
    assert abs(found.absent[3]) > 0


def test_a_bundle_without_exact_reasons_has_effects_by_occlusion() -> None:
    profile = msgspec.json.decode(small_bundle("v1")["profile.json"], type=Profile)
    for name in NAMES:
        column = profile.features[name]
        effects = effects_on(column.edges, column)
        assert np.all(np.diff(effects[1:]) > 0)
        assert weight(column) > 0.3
