"""Trees grown by Spark or XGBoost, as models of our families: they export, explain and serve as those fitted here.

Spark's trees do not take missing values. They are grown on MISSING in their place, which is below every value of a
feature and so goes left at each split, as `inputs.missing_as_lowest` gives it to a forest. Boosting has a side for
missing values at each split, as XGBoost's trees have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import NODE_DTYPE, Tree

from shared.learning.specs.search import ModelFamily
from shared.learning.training.families import boosting, trees

GROWN_AS: Mapping[str, ModelFamily] = {
    "gradient_boosted_trees": "hist_gradient_boosting",
    "random_forest": "random_forest",
    "xgboost": "hist_gradient_boosting",
}
"""The family of ours that a model of each family of all rows becomes."""
_LEAF, _NO_FEATURE = -1, -2  # of scikit-learn's trees
_CLASSES = np.array([False, True])


class GrownTree(NamedTuple):
    """The nodes of a tree by number, its root's being 0, each [n].

    `left` and `right` are the numbers of the children, negative of a leaf; a value goes left if it is at most
    `threshold`, a missing one if `missing_left`. `prediction` is the value of a regression's node.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    prediction: NDArray[np.float64]

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves, [n]."""
        return self.left < 0

    def depths(self) -> NDArray[np.uint32]:
        """Return the number of splits above each node, [n]."""
        found = np.zeros(len(self.left), dtype=np.uint32)
        for node in np.flatnonzero(~self.is_leaf):  # a parent's number is smaller than its children's
            found[[self.left[node], self.right[node]]] = found[node] + 1
        return found


class NodeRows(NamedTuple):
    """The training rows of each node of a tree: weights of legitimate ones and frauds [n, 2], their number [n]."""

    classes: NDArray[np.float64]
    number: NDArray[np.int64]


def used_features(grown: Sequence[GrownTree]) -> NDArray[np.intp]:
    """Return the indexes of the features that any tree tests, ascending."""
    tested = [tree.feature[~tree.is_leaf] for tree in grown]
    return np.unique(np.concatenate(tested)).astype(np.intp) if tested else np.zeros(0, dtype=np.intp)


def renumbered(tree: GrownTree, columns: NDArray[np.intp]) -> GrownTree:
    """Return a tree whose features are counted among `columns`, ascending, which hold all that it tests."""
    return tree._replace(feature=np.searchsorted(columns, tree.feature).astype(np.int32))


def boosted(
    grown: Sequence[GrownTree], weights: Sequence[float], inputs: int, seed: int, start: float = 0.0
) -> object:
    """Return the boosted model of trees of regression: its log-odds are `start` plus their weighted sum."""
    model = boosting.build({"max_iter": 1}, seed)
    model.fit(*_any_rows(inputs))
    model._predictors = [[_predictor(tree, weight)] for tree, weight in zip(grown, weights, strict=True)]
    model._baseline_prediction = np.full((1, 1), start)
    model._bin_mapper.bin_thresholds_ = []  # it has no bins, so nothing can be added to it (`boosting`)
    model.set_params(max_iter=len(grown))
    return model


def forest(grown: Sequence[GrownTree], rows: Sequence[NodeRows], inputs: int, seed: int) -> Pipeline:
    """Return the forest of trees of classification: its score is the mean of their leaves' shares of frauds."""
    model = trees.build_forest({"n_estimators": 1}, seed)
    model.fit(*_any_rows(inputs))
    last, like = model[-1], model[-1].estimators_[0]
    last.estimators_ = [_classifier(like, tree, own, inputs) for tree, own in zip(grown, rows, strict=True)]
    last.set_params(n_estimators=len(grown))
    return model


def _any_rows(inputs: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return rows that give an estimator all of its attributes, before its trees are replaced."""
    return np.zeros((2, inputs), dtype=np.float32), _CLASSES


def _predictor(tree: GrownTree, scale: float) -> TreePredictor:
    nodes = np.zeros(len(tree.left), dtype=PREDICTOR_RECORD_DTYPE)
    inner = ~tree.is_leaf
    nodes["value"], nodes["depth"] = scale * tree.prediction, tree.depths()
    nodes["is_leaf"] = tree.is_leaf
    nodes["feature_idx"][inner], nodes["num_threshold"][inner] = tree.feature[inner], tree.threshold[inner]
    nodes["missing_go_to_left"][inner] = tree.missing_left[inner]
    nodes["left"][inner], nodes["right"][inner] = tree.left[inner], tree.right[inner]
    none = np.zeros((0, 8), dtype=np.uint32)  # bitsets of categories
    return TreePredictor(nodes, none, none.copy())


def _classifier(like: DecisionTreeClassifier, tree: GrownTree, rows: NodeRows, inputs: int) -> DecisionTreeClassifier:
    """Return a tree of scikit-learn with the attributes of another one."""
    nodes = np.zeros(len(tree.left), dtype=NODE_DTYPE)
    inner, total = ~tree.is_leaf, rows.classes.sum(axis=1)
    nodes["left_child"], nodes["right_child"] = np.where(inner, (tree.left, tree.right), _LEAF)
    nodes["feature"] = np.where(inner, tree.feature, _NO_FEATURE)
    nodes["threshold"] = np.where(inner, tree.threshold, _NO_FEATURE)
    nodes["n_node_samples"], nodes["weighted_n_node_samples"] = rows.number, total
    nodes["missing_go_to_left"] = inner
    shares = rows.classes / total[:, None]
    nodes["impurity"] = 1 - (shares**2).sum(axis=1)  # Gini's
    own = Tree(inputs, np.array([2], dtype=np.intp), 1)
    depth = int(tree.depths().max())
    own.__setstate__({"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": shares[:, None, :]})
    found = DecisionTreeClassifier(**like.get_params())
    found.__dict__.update({**like.__dict__, "tree_": own})
    return found
