"""A linear model's contributions in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from sklearn.pipeline import Pipeline

from shared.learning.training.explaining.graph import contributions_model


def linear_contributions(
    model: Pipeline, background: NDArray[np.float32], groups: NDArray[np.intp], count: int
) -> bytes:
    """Return ONNX that gives the contribution of each of `count` groups to the log-odds of a model's raw score.

    That of a feature is its coefficient times its value less the background's mean, with missing values filled in
    both. `background` is [m, F]; `groups` [F] is the group of each input.
    Source: Štrumbelj and Kononenko, Explaining Prediction Models and Individual Predictions with Feature
    Contributions, Knowledge and Information Systems, 2014.
    """
    impute, scale, last = (step for _, step in model.steps)
    mean = impute.transform(background).mean(axis=0, dtype=np.float64)
    weights = np.zeros((len(groups), count))
    weights[np.arange(len(groups)), groups] = last.coef_[0]
    constants = {
        "medians": impute.statistics_.astype(np.float32),
        "mean": mean.astype(np.float32),
        "scale": scale.scale_.astype(np.float32),
        "weights": weights.astype(np.float32),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "medians", "features"], ["present"]),
        helper.make_node("Sub", ["present", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["contributions"]),
    ]
    return contributions_model(nodes, groups, count, **constants)
