"""Model families: how to build an estimator of each, and how to continue a fitted one. All are scikit-learn's.

Each takes float32 with missing values and exports to ONNX with equal scores (`export.require_parity`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.specs.search import ModelFamily
from shared.learning.training.families import boosting, linear, network, trees

Features = NDArray[np.float32]
Fraud = NDArray[np.bool_]
Weight = NDArray[np.float64] | None


def plain_fit(model: Any, features: Features, fraud: Fraud, weight: Weight) -> None:
    """Fit an estimator, or a pipeline that ends in one, to rows whose weights are 1 if `weight` is None."""
    name = "model__sample_weight" if hasattr(model, "steps") else "sample_weight"
    model.fit(features, fraud, **{name: weight})


class FamilyTrainer(NamedTuple):
    """Operations of a family.

    `build(params, seed)` returns an unfitted estimator, which `fit(model, features, fraud, weight)` fits.
    `continue_training(model, features, fraud, weight, rounds)` returns a copy of a fitted model after further rounds
    of training, and is None for a family without. `size(model)` is the number of trees or rounds that grows with each
    update (0 for a family that does not grow); beyond `size_max` the model would serve slowly, so it is trained in
    full again.
    """

    build: Callable[[Mapping[str, Any], int], Any]
    fit: Callable[[Any, Features, Fraud, Weight], None] = plain_fit
    continue_training: Callable[[Any, Features, Fraud, Weight, int], Any] | None = None
    size: Callable[[Any], int] = lambda _: 0
    size_max: int = 0


FAMILIES: dict[ModelFamily, FamilyTrainer] = {
    "logistic_regression": FamilyTrainer(linear.build, continue_training=linear.continue_training),
    "decision_tree": FamilyTrainer(trees.build_tree),
    "random_forest": FamilyTrainer(trees.build_forest, plain_fit, trees.continue_forest, trees.size, size_max=300),
    "hist_gradient_boosting": FamilyTrainer(
        boosting.build, boosting.fit, boosting.continue_training, boosting.size, size_max=1000
    ),
    "neural_network": FamilyTrainer(network.build, continue_training=network.continue_training),
}


def family_of(model: Any) -> ModelFamily:
    """Return the family of a model. Raises KeyError for a model of no family.

    >>> family_of(FAMILIES["random_forest"].build({}, 0))
    'random_forest'
    """
    names: dict[str, ModelFamily] = {_kind(maker.build({}, 0)): name for name, maker in FAMILIES.items()}
    return names[_kind(model)]


def _kind(model: Any) -> str:
    """Return the class of a model or of a pipeline's last step."""
    return type(model.steps[-1][1] if hasattr(model, "steps") else model).__name__
