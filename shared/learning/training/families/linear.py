"""Logistic regression, the baseline."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from shared.learning.training.families.inputs import scaled


def build(params: Mapping[str, Any], seed: int) -> Pipeline:
    """Return an estimator with scikit-learn's parameters."""
    return scaled(LogisticRegression(**{"solver": "newton-cholesky", "random_state": seed, **params}))


def continue_training(
    model: Pipeline,
    features: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    rounds: int,
) -> Pipeline:
    """Return a copy of the model after at most `rounds` solver iterations from its coefficients.

    Medians and scales stay those of the first fit, for which the coefficients hold.
    """
    grown = copy.deepcopy(model)
    last = grown[-1].set_params(warm_start=True, max_iter=rounds)
    last.fit(grown[:-1].transform(features), fraud, sample_weight=weight)
    return grown
