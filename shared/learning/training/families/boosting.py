"""Gradient boosting on histograms."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.learning.errors import CannotContinue
from shared.learning.specs.search import LEAVES_MAX

_DEFAULTS = {"early_stopping": False, "max_leaf_nodes": LEAVES_MAX}


class _FixedBins(HistGradientBoostingClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """Boosting that keeps the bins of its first fit in a warm start.

    scikit-learn's warm start computes new bins from the new rows, and then evaluates the old trees, whose splits are
    bin numbers, with these bins. Their predictions are wrong, and the new trees would correct errors that are none.
    """

    # scikit-learn calls it by these names and arguments, of which only X matters once the bins are fixed.
    def _bin_data(self, X: Any, sample_weight: Any, is_training_data: bool) -> Any:  # noqa: ARG002, N803
        self._bin_mapper = self.fixed_bins
        return self._bin_mapper.transform(X)


class _PlainBins(HistGradientBoostingClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """Boosting that computes its bins without weights: as weighted quantiles they take most of the time of a fit."""

    def _bin_data(self, X: Any, sample_weight: Any, is_training_data: bool) -> Any:  # noqa: ARG002, N803
        return super()._bin_data(X, None, is_training_data)


def build(params: Mapping[str, Any], seed: int) -> HistGradientBoostingClassifier:
    """Return an estimator with scikit-learn's parameters.

    It makes `max_iter` rounds, which may be searched, without early stopping: stopping on the calibration period
    would bias the choice and the calibration made on it, and stopping on other rows would take the most recent ones.
    Prefer `legitimate_per_fraud` (`train.fit`) to `class_weight`, which is slow: bins become weighted quantiles.
    """
    return HistGradientBoostingClassifier(**{**_DEFAULTS, "random_state": seed, **params})


def fit(
    model: HistGradientBoostingClassifier,
    features: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
) -> None:
    """Fit an estimator to weighted rows."""
    model.__class__ = _PlainBins
    try:
        model.fit(features, fraud, sample_weight=weight)
    finally:
        model.__class__ = HistGradientBoostingClassifier


def continue_training(
    model: HistGradientBoostingClassifier,
    features: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    rounds: int,
) -> HistGradientBoostingClassifier:
    """Return a copy of the model with `rounds` more trees, fitted to its residuals on these rows.

    Raises CannotContinue for trees that were grown elsewhere, by other bins.
    """
    if not model._bin_mapper.bin_thresholds_:
        raise CannotContinue("its trees were grown by Spark or XGBoost, whose bins it does not have")
    grown = copy.deepcopy(model)
    grown.set_params(warm_start=True, early_stopping=False, max_iter=size(model) + rounds)
    # The class is changed for the fit only, so that the pickle names scikit-learn's own class.
    grown.fixed_bins, grown.__class__ = grown._bin_mapper, _FixedBins
    grown.fit(features, fraud, sample_weight=weight)
    del grown.fixed_bins
    grown.__class__ = HistGradientBoostingClassifier
    return grown.set_params(warm_start=False)


def size(model: HistGradientBoostingClassifier) -> int:
    """Return the number of boosting rounds of a model."""
    return int(model.n_iter_)


def in_float32(model: HistGradientBoostingClassifier) -> HistGradientBoostingClassifier:
    """Return a copy of the model with its thresholds rounded down to float32, which ONNX stores.

    A threshold lies midway between two training values. If these are neighbours in float32, rounding to nearest may
    give the upper one, which would then go left. Rounded down, every float32 value goes the same way as before.
    """
    rounded = copy.deepcopy(model)
    for [tree] in rounded._predictors:
        exact = tree.nodes["num_threshold"]
        with np.errstate(over="ignore"):  # out of range is infinite, rounded down to the largest float32
            near = exact.astype(np.float32)
        below = np.nextafter(near, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(near > exact, below, near)
    return rounded
