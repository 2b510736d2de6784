"""A small neural network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from shared.learning.training.families.inputs import scaled

_DEFAULTS = {"solver": "adam", "batch_size": 512, "learning_rate_init": 0.002, "early_stopping": False}


def build(params: Mapping[str, Any], seed: int) -> Pipeline:
    """Return an estimator with scikit-learn's parameters.

    It does not stop early: scikit-learn would hold out rows at random, which know the campaigns of their neighbours.
    """
    return scaled(MLPClassifier(**{**_DEFAULTS, "random_state": seed, **params}))


def continue_training(
    model: Pipeline, features: NDArray[np.float32], fraud: NDArray[np.bool_], rounds: int
) -> Pipeline:
    """Return a model trained on from the champion's weights, with its medians and scales.

    For `rounds` epochs, or as many as the champion had if those were fewer: more would be to learn new rows by heart.
    """
    grown = copy.deepcopy(model)
    epochs = min(rounds, grown[-1].max_iter)
    grown[-1].set_params(warm_start=True, max_iter=epochs).fit(grown[:-1].transform(features), fraud)
    return grown
