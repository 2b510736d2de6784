"""Trees that were grown elsewhere score as a walk through them, missing values by their side of each split."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.learning.training.explaining.explain import explain
from shared.learning.training.export import onnx_bytes, onnx_scores, require_parity
from shared.learning.training.families import family_of
from shared.learning.training.families.grown import (
    GrownTree,
    NodeRows,
    boosted,
    forest,
    renumbered,
    used_features,
)
from shared.learning.training.families.inputs import MISSING
from shared.learning.training.train import raw_scores

#        0: third <= 0.1
#       1 leaf    2: first <= half of MISSING
#                3 leaf   4: first <= 0.7
#                        5 leaf   6 leaf
TREE = GrownTree(
    left=np.array([1, -1, 3, -1, 5, -1, -1], dtype=np.int32),
    right=np.array([2, -1, 4, -1, 6, -1, -1], dtype=np.int32),
    feature=np.array([2, -1, 0, -1, 0, -1, -1], dtype=np.int32),
    threshold=np.array([0.1, np.nan, MISSING / 2, np.nan, 0.7, np.nan, np.nan]),
    missing_left=np.array([True, False, True, False, True, False, False]),
    prediction=np.array([0.0, -0.9, 0.0, 0.8, 0.0, -0.3, 0.4]),
)
ROWS = NodeRows(
    classes=np.array([[12.0, 8], [6, 1], [6, 7], [1, 3], [5, 4], [4, 1], [1, 3]]),
    number=np.array([20, 7, 13, 4, 9, 5, 4]),
)
FEATURES = np.array(
    [
        [0.5, 1, 0.05],
        [0.5, 1, np.nan],
        [np.nan, 1, 0.2],
        [0.7, np.nan, 0.2],
        [0.8, 1, 0.2],
        [0.8, 1, np.nextafter(np.float32(0.1), np.float32(1))],
    ],
    dtype=np.float32,
)
LEAVES = [1, 1, 3, 5, 6, 6]


def scored_alike(model: object) -> NDArray[np.float64]:
    scores = raw_scores(model, FEATURES)
    assert require_parity(model, FEATURES, onnx_scores(onnx_bytes(model, 3), FEATURES)) < 1e-6
    return scores


def test_log_odds_of_boosting_are_the_start_and_the_weighted_sum() -> None:
    model = boosted([TREE, TREE], [2.0, 0.2], 3, seed=0, start=-1.5)
    margin = 2.2 * TREE.prediction[LEAVES] - 1.5
    np.testing.assert_allclose(scored_alike(model), 1 / (1 + np.exp(-margin)), rtol=1e-12)
    assert family_of(model) == "hist_gradient_boosting"


def test_a_missing_value_goes_to_its_side_of_a_split_of_boosting() -> None:
    right = TREE._replace(missing_left=np.zeros(7, dtype=np.bool_))
    model = boosted([right], [1.0], 3, seed=0)
    margin = TREE.prediction[[1, 5, 6, 5, 6, 6]]
    np.testing.assert_allclose(scored_alike(model), 1 / (1 + np.exp(-margin)), rtol=1e-12)


def test_the_reasons_of_boosting_are_exact() -> None:
    model = boosted([TREE, TREE], [1.0, 0.1], 3, seed=0)
    found = explain(model, ["new_pair", "amount", "amount_log"], FEATURES[:3], FEATURES)
    assert found.onnx is not None


def test_a_forest_has_the_mean_share_of_frauds_of_its_leaves() -> None:
    mirrored = ROWS._replace(classes=ROWS.classes[:, ::-1])
    model = forest([TREE, TREE, TREE], [ROWS, ROWS, mirrored], 3, seed=0)
    share = (ROWS.classes[:, 1] / ROWS.classes.sum(axis=1))[LEAVES]
    np.testing.assert_allclose(scored_alike(model), (share + share + 1 - share) / 3, rtol=1e-12)
    assert family_of(model) == "random_forest"


def test_only_the_features_that_trees_test_are_inputs() -> None:
    columns = used_features([TREE])
    assert columns.tolist() == [0, 2]
    fewer = boosted([renumbered(TREE, columns)], [1.0], 2, seed=0)
    whole = boosted([TREE], [1.0], 3, seed=0)
    np.testing.assert_array_equal(raw_scores(fewer, FEATURES[:, columns]), raw_scores(whole, FEATURES))


def test_a_tree_may_be_a_leaf() -> None:
    leaf = GrownTree._make(values[1:2] for values in TREE)
    assert len(used_features([leaf])) == 0
    rows = NodeRows._make(values[1:2] for values in ROWS)
    assert set(raw_scores(forest([leaf, TREE], [rows, ROWS], 3, seed=0), FEATURES)) > {0.5 * (1 / 7 + 1 / 7)}
    assert raw_scores(boosted([leaf], [2.0], 3, seed=0), FEATURES) == pytest.approx(1 / (1 + np.exp(1.8)))
