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

    No early stopping: scikit-learn would hold out random rows, which share campaigns with the training rows.
    """
    return scaled(MLPClassifier(**{**_DEFAULTS, "random_state": seed, **params}))


def continue_training(
    model: Pipeline,
    features: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    rounds: int,
) -> Pipeline:
    """Return a copy of the model after further epochs from its weights, with its medians and scales.

    `rounds` epochs, but no more than `max_iter` of the first fit: more would overfit the new rows.
    """
    grown = copy.deepcopy(model)
    epochs = min(rounds, grown[-1].max_iter)
    last = grown[-1].set_params(warm_start=True, max_iter=epochs)
    last.fit(grown[:-1].transform(features), fraud, sample_weight=weight)
    return grown
