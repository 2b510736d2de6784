"""A model of ours scores as the booster of whose trees it is made, each side of each split alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.adapters.xgboost.trees import trees_of
from shared.learning.training.export import onnx_bytes, onnx_scores
from shared.learning.training.families.grown import GrownTree, boosted
from shared.learning.training.train import raw_scores

xgboost = pytest.importorskip("xgboost", reason="xgboost (`make spark`) is needed")
INPUTS = 5
LEAF_WISE = {"max_depth": 0, "max_leaves": 8, "grow_policy": "lossguide"}


def rows(n: int = 4_000) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return rows with flags, few and many values, and missing ones; those of the last feature tell a fraud."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(n, INPUTS)).astype(np.float32)
    features[:, 0] = features[:, 0] > 0.5
    features[:, 1] = np.round(features[:, 1], 1)
    features[rng.random(features.shape) < 0.2] = np.nan
    risk = np.nan_to_num(features, nan=0.3).sum(axis=1) + 2 * np.isnan(features[:, 4]) + rng.normal(size=n)
    return features, risk > 3


def booster(**params: Any) -> Any:
    features, fraud = rows()
    chosen = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 0, **params}
    weight = np.where(fraud, 2.0, 1.0)
    return xgboost.train(chosen, xgboost.QuantileDMatrix(features, fraud, weight=weight), num_boost_round=30)


def at_splits(trees: list[GrownTree]) -> NDArray[np.float32]:
    """Return rows that have the values next to those of splits, on both sides, for each feature."""
    below = np.concatenate([tree.threshold[~tree.is_leaf] for tree in trees]).astype(np.float32)
    values = np.concatenate([below, np.nextafter(below, np.float32(np.inf)), np.array([0.0, -0.0], np.float32)])
    rng = np.random.default_rng(4)
    return np.stack([rng.permutation(values) for _ in range(INPUTS)], axis=1)


@pytest.mark.parametrize(
    "params", [{}, LEAF_WISE, {"gamma": 3.0}, {"base_score": 0.2}], ids=["deep", "wide", "pruned", "base"]
)
def test_scores_are_those_of_the_booster(params: dict[str, Any]) -> None:
    grown = booster(**params)
    start, trees = trees_of(grown.save_raw("json"))
    model = boosted(trees, [1.0] * len(trees), INPUTS, seed=0, start=start)
    features = np.concatenate([rows()[0], at_splits(trees)])
    expected = grown.inplace_predict(features)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(raw_scores(model, features), expected, atol=1e-6)
    np.testing.assert_allclose(onnx_scores(onnx_bytes(model, INPUTS), features), expected, atol=1e-6)


def test_missing_values_go_to_both_sides_and_trees_have_at_most_8_leaves() -> None:
    _, trees = trees_of(booster(**LEAF_WISE).save_raw("json"))
    sides = {bool(side) for tree in trees for side in tree.missing_left[~tree.is_leaf]}
    assert sides == {True, False}
    assert max(int(tree.is_leaf.sum()) for tree in trees) == 8
    assert max(int(tree.depths().max()) for tree in trees) > 3


def test_a_tree_may_be_a_leaf() -> None:
    start, trees = trees_of(booster(gamma=1e9).save_raw("json"))
    assert [len(tree.left) for tree in trees] == [1] * 30
    share = rows()[1].mean()
    assert start == pytest.approx(np.log(2 * share / (1 - share)), abs=1e-6)
