"""Exact contributions equal those of `shap`, and add up to the raw score's log-odds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.errors import ExportFailed
from shared.learning.specs.search import LEAVES_MAX
from shared.learning.training.explaining.background import ROWS, background
from shared.learning.training.explaining.explain import (
    ADDITIVE,
    explain,
    grouped,
    onnx_contributions,
    require_additivity,
)
from shared.learning.training.explaining.linear import linear_contributions
from shared.learning.training.explaining.lookup import boosted_contributions
from shared.learning.training.explaining.shapley import shapley_values
from shared.learning.training.explaining.small_tree import SmallTree, small_trees
from shared.learning.training.families import FAMILIES, boosting
from shared.learning.training.train import fit
from shared.scoring.explanation import OCCLUSION, SHAPLEY
from tests.unit.learning.rows import training_set
from tests.unit.learning.training import peer
from tests.unit.learning.training.samples import SMALL, families, labelled

INPUTS = 8
ALONE = np.arange(INPUTS)
"""Each input in a group of its own."""
TOLERANCE = 1e-5
EMPTY = np.full((1, INPUTS), np.nan, np.float32)
NAMES = FEATURE_NAMES[:INPUTS]


def boosted(missing: float, leaves: int = LEAVES_MAX) -> HistGradientBoostingClassifier:
    params = {"max_iter": 30, "max_leaf_nodes": leaves, "min_samples_leaf": 10}
    return fit("hist_gradient_boosting", params, labelled(3_000, 0, missing), seed=0)


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.9])
def test_contributions_of_boosted_trees_equal_those_of_shap(missing: float) -> None:
    model, behind = boosted(missing), labelled(100, 1, missing).features
    train = labelled(3_000, 0, missing).features
    below = np.nextafter(train[:300], np.float32(-np.inf))
    vectors = np.vstack([labelled(500, 2, missing).features, train[:300], below, EMPTY])
    data = boosted_contributions(model, behind, ALONE, INPUTS)
    found, expected = onnx_contributions(data, vectors), peer.of_trees(boosting.in_float32(model), vectors, behind)
    assert np.abs(found - expected).max() < TOLERANCE
    assert np.abs(expected).max() > 0.5


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_contributions_of_a_linear_model_equal_those_of_shap(missing: float) -> None:
    model, behind = fit("logistic_regression", {}, labelled(3_000, 0, missing), seed=0), labelled(100, 1).features
    vectors = labelled(500, 2, missing).features
    found = onnx_contributions(linear_contributions(model, behind, ALONE, INPUTS), vectors)
    expected = peer.of_linear(model, vectors, behind)
    assert np.abs(found - expected).max() < TOLERANCE
    assert np.abs(expected).max() > 0.5


def test_a_group_has_the_sum_of_its_features() -> None:
    model, behind, vectors = boosted(0.2), labelled(100, 1).features, labelled(300, 2).features
    groups = np.array([2, 0, 1, 2, 0, 1, 1, 0])
    alone, together = (
        onnx_contributions(boosted_contributions(model, behind, own, count), vectors)
        for own, count in ((ALONE, INPUTS), (groups, 3))
    )
    summed = np.stack([alone[:, groups == group].sum(axis=1) for group in range(3)], axis=1)
    assert np.abs(together - summed).max() < TOLERANCE


@families
def test_exact_families_add_up_and_the_others_say_so(family: Any) -> None:
    model = fit(family, SMALL[family], labelled(3_000, 0), seed=0)
    vectors = labelled(2_000, 2).features
    explained = explain(model, NAMES, labelled(100, 1).features, vectors)
    about = explained.explanation
    if family not in ("hist_gradient_boosting", "logistic_regression"):
        assert (about.kind, about.base, about.background, explained.onnx) == (OCCLUSION, None, None, None)
        return
    assert about.kind == SHAPLEY
    assert about.groups == grouped(NAMES)
    assert about.base == pytest.approx(model.decision_function(labelled(100, 1).features).mean())
    assert require_additivity(model, vectors, explained.onnx, about.base) <= ADDITIVE
    with pytest.raises(ExportFailed, match="differ from the log-odds"):
        require_additivity(model, vectors, explained.onnx, about.base + 0.01)


def test_the_same_model_and_background_give_the_same_bytes() -> None:
    model, behind, vectors = boosted(0.2), labelled(100, 1).features, labelled(100, 2).features
    first, again = (explain(model, NAMES, behind, vectors) for _ in range(2))
    other = explain(model, NAMES, labelled(100, 3).features, vectors)
    assert first == again
    assert other.explanation.background != first.explanation.background
    assert other.onnx != first.onnx


def test_a_tree_with_more_leaves_is_not_explained() -> None:
    with pytest.raises(ExportFailed, match="leaves"):
        boosted_contributions(boosted(0.2, leaves=9), labelled(100, 1).features, ALONE, INPUTS)


def test_a_continued_model_is_explained_too() -> None:
    model, rows = boosted(0.2), labelled(1_000, 5)
    grown = FAMILIES["hist_gradient_boosting"].continue_training(model, *rows, 10)
    vectors = labelled(1_000, 2).features
    assert explain(grown, NAMES, labelled(100, 1).features, vectors).onnx


def test_a_model_without_a_split_contributes_nothing() -> None:
    rows = labelled(50, 0)
    model = fit("hist_gradient_boosting", {"max_iter": 3, "min_samples_leaf": 40}, rows, seed=0)
    explained = explain(model, NAMES, rows.features, rows.features)
    assert not onnx_contributions(explained.onnx, rows.features).any()


def test_values_of_a_tree_sum_to_its_answer_less_the_mean() -> None:
    vectors, behind = labelled(200, 2).features, labelled(100, 1).features
    for tree in small_trees(boosted(0.2))[:5]:
        own, other = tree.outcomes(vectors), tree.outcomes(behind)
        _, values = shapley_values(tree, own, other)
        answers = [np.array([answer(tree, row) for row in rows]) for rows in (own, other)]
        np.testing.assert_allclose(values.sum(axis=1), answers[0] - answers[1].mean(), atol=1e-12)


def answer(tree: SmallTree, outcomes: NDArray[np.bool_]) -> float:
    """Return the value of the leaf that the outcomes of a tree's tests lead to."""
    return next(leaf.value for leaf in tree.leaves if all(outcomes[test] == left for test, left in leaf.way))


def test_a_background_is_the_same_for_the_same_rows_and_follows_their_weights() -> None:
    data = training_set()
    columns = np.arange(3)
    first = background(data, slice(100, 1_500), columns)
    np.testing.assert_array_equal(first, background(data, slice(100, 1_500), columns))
    assert first.shape == (ROWS, 3)
    rows = {row.tobytes() for row in data.take(np.arange(100, 1_500), columns)}
    assert {row.tobytes() for row in first} <= rows
    assert len(background(data, slice(0, 7), columns)) == 7
    data.weight[:] = 1e-9
    data.weight[200:300] = 1.0
    weighty = background(data, slice(100, 1_500), columns)
    np.testing.assert_array_equal(weighty, data.take(np.arange(200, 300), columns))
