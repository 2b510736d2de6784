"""Read the trees of a booster of XGBoost from its model in JSON.

Format: https://github.com/dmlc/xgboost/blob/v3.2.0/doc/model.schema.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from scipy.special import logit

from shared.learning.training.families.grown import GrownTree


class Booster(NamedTuple):
    """The trees of a booster, and the log-odds to which their predictions are added."""

    start: float
    trees: list[GrownTree]


class _Tree(Struct):
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]  # the value of a leaf is here, too
    default_left: list[int]


class _Trees(Struct):
    trees: list[_Tree]


class _GradientBooster(Struct):
    model: _Trees


class _Parameters(Struct):
    base_score: str  # a probability, as a list in JSON


class _Learner(Struct):
    gradient_booster: _GradientBooster
    learner_model_param: _Parameters


class _Model(Struct):
    learner: _Learner


def trees_of(model: bytes | bytearray) -> Booster:
    """Return the trees of a model `gbtree` for `binary:logistic`.

    >>> split = {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "default_left": [0, 0, 0],
    ...          "split_indices": [3, 0, 0], "split_conditions": [0.5, -0.25, 0.75]}
    >>> learner = {"gradient_booster": {"model": {"trees": [split]}}, "learner_model_param": {"base_score": "[5E-1]"}}
    >>> start, [tree] = trees_of(msgspec.json.encode({"learner": learner}))
    >>> start, tree.prediction[1:].tolist(), int(tree.feature[0]), float(tree.threshold[0])
    (0.0, [-0.25, 0.75], 3, 0.4999999701976776)
    """
    learner = msgspec.json.decode(model, type=_Model).learner
    [share] = msgspec.json.decode(learner.learner_model_param.base_score, type=tuple[float])
    return Booster(float(logit(share)), [_grown(tree) for tree in learner.gradient_booster.model.trees])


def _grown(stored: _Tree) -> GrownTree:
    """Return a tree.

    A float32 goes left in XGBoost if it is less than a split's float32: if it is at most the one before that.
    """
    condition = np.array(stored.split_conditions, dtype=np.float32)
    return GrownTree(
        np.array(stored.left_children, dtype=np.int32),
        np.array(stored.right_children, dtype=np.int32),
        np.array(stored.split_indices, dtype=np.int32),
        np.nextafter(condition, np.float32(-np.inf)).astype(np.float64),
        np.array(stored.default_left, dtype=np.bool_),
        condition.astype(np.float64),
    )
