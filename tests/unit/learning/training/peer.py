"""Interventional Shapley values of log-odds by `shap`, an implementation that shares nothing with ours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # of a newer matplotlib, by its plots
    import shap


def of_trees(model: Any, vectors: NDArray[np.float32], behind: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the values [n, F] of boosted trees at vectors [n, F] against a background `behind` [m, F]."""
    explainer = shap.TreeExplainer(model, behind, feature_perturbation="interventional", model_output="raw")
    found: NDArray[np.float64] = explainer.shap_values(vectors, check_additivity=False)
    return found


def of_linear(model: Pipeline, vectors: NDArray[np.float32], behind: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the values [n, F] of a linear model behind its preprocessing."""
    prepared, other = (model[:-1].transform(each) for each in (vectors, behind))
    explainer = shap.LinearExplainer(model[-1], shap.maskers.Independent(other, len(other)))
    found: NDArray[np.float64] = explainer.shap_values(prepared)
    return found
