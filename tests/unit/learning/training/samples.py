"""Small fits of each model family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.learning.specs.search import ModelFamily
from shared.learning.training.families import FAMILIES
from shared.learning.training.train import LabelledRows

SMALL: dict[ModelFamily, dict[str, Any]] = {
    "logistic_regression": {},
    "decision_tree": {"max_depth": 10},
    "random_forest": {"n_estimators": 20, "max_depth": 12},
    "hist_gradient_boosting": {"max_iter": 20},
    "neural_network": {"hidden_layer_sizes": [16, 8], "max_iter": 10},
}
families = pytest.mark.parametrize("family", list(FAMILIES))


def labelled(rows: int, seed: int, missing: float = 0.2) -> LabelledRows:
    """Return rows whose columns have different scales, some of integers with ties."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(rows, 8)) * 10.0 ** np.arange(-3, 5)).astype(np.float32)
    features[:, 5:] = features[:, 5:].round()
    features[rng.random(features.shape) < missing] = np.nan
    return LabelledRows(features, np.nan_to_num(features[:, 3]) + rng.normal(size=rows) > 1.5)
