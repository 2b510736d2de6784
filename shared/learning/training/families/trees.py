"""A decision tree, and a forest of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from shared.learning.training.families.inputs import missing_as_lowest


def build_tree(params: Mapping[str, Any], seed: int) -> Pipeline:
    """Return a decision tree with scikit-learn's parameters."""
    return missing_as_lowest(DecisionTreeClassifier(**{"random_state": seed, **params}))


def build_forest(params: Mapping[str, Any], seed: int) -> Pipeline:
    """Return a random forest with scikit-learn's parameters."""
    return missing_as_lowest(RandomForestClassifier(**{"random_state": seed, **params}))


def continue_forest(
    model: Pipeline,
    features: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    rounds: int,
) -> Pipeline:
    """Return a copy of the forest with `rounds` more trees, grown on these rows."""
    grown = copy.deepcopy(model)
    forest = grown[-1].set_params(warm_start=True, n_estimators=size(model) + rounds)
    forest.fit(grown[:-1].transform(features), fraud, sample_weight=weight).set_params(warm_start=False)
    return grown


def size(model: Pipeline) -> int:
    """Return the number of trees of a forest."""
    return len(model[-1].estimators_)
