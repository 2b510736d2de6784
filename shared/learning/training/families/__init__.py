"""Families of models: how each is built, and how a fitted one is continued; all are scikit-learn's.

Each takes float32 with missing values, is exported to ONNX, and computes the same there (`export.require_parity`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import ModelFamily
from shared.learning.training.families import boosting, linear, network, trees

Features = NDArray[np.float32]
Fraud = NDArray[np.bool_]


class FamilyTrainer(NamedTuple):
    """What a family can do.

    `build(params, seed)` returns an estimator to fit. `continue_training(model, features, fraud, rounds)` returns a fitted
    model that learnt on from a champion's, which it leaves as it is; None: the family cannot. `size(model)` counts
    what a continued model has more of (0 if nothing), `size_max` is where continuing ends: it would serve slowly.
    """

    build: Callable[[Mapping[str, Any], int], Any]
    continued: Callable[[Any, Features, Fraud, int], Any] | None = None
    size: Callable[[Any], int] = lambda _: 0
    size_max: int = 0


FAMILIES: dict[ModelFamily, FamilyTrainer] = {
    "logistic_regression": FamilyTrainer(linear.build, linear.continue_training),
    "decision_tree": FamilyTrainer(trees.build_tree),
    "random_forest": FamilyTrainer(trees.build_forest, trees.continue_forest, trees.size, size_max=300),
    "hist_gradient_boosting": FamilyTrainer(boosting.build, boosting.continue_training, boosting.size, size_max=1000),
    "neural_network": FamilyTrainer(network.build, network.continue_training),
}


def family_of(model: Any) -> ModelFamily:
    """Return the family of a fitted model. Raises KeyError for one that none of them builds.

    >>> family_of(FAMILIES["random_forest"].build({}, 0))
    'random_forest'
    """
    names: dict[str, ModelFamily] = {_kind(maker.build({}, 0)): name for name, maker in FAMILIES.items()}
    return names[_kind(model)]


def _kind(model: Any) -> str:
    """Return the class of a model or of a pipeline's last step."""
    return type(model.steps[-1][1] if hasattr(model, "steps") else model).__name__
