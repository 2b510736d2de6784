"""Gradient boosting on histograms."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier


class _FixedBins(HistGradientBoostingClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """Boosting that goes on with the bins of its first fit.

    scikit-learn's warm start bins anew, and reads the trees it has, whose splits are numbers of bins, by the new
    bins: on other rows than before their part of the prediction is wrong, and new trees mend what is not broken.
    """

    def _bin_data(self, X: Any, sample_weight: Any, is_training_data: bool) -> Any:  # noqa: ARG002, N803
        self._bin_mapper = self.fixed_bins
        return self._bin_mapper.transform(X)


def build(params: Mapping[str, Any], seed: int) -> HistGradientBoostingClassifier:
    """Return an estimator with scikit-learn's parameters.

    It does not stop early, but makes `max_iter` rounds, which may be searched: stopping on the calibration period
    would flatter what is then chosen and calibrated on it, and rows held out for it would be the most recent ones.
    `class_weight` is slow, as bins are then weighted quantiles; `legitimate_per_fraud` (`train.fit`) does the same.
    """
    return HistGradientBoostingClassifier(**{"early_stopping": False, "random_state": seed, **params})


def continue_training(
    model: HistGradientBoostingClassifier, features: NDArray[np.float32], fraud: NDArray[np.bool_], rounds: int
) -> HistGradientBoostingClassifier:
    """Return the champion's model with `rounds` more trees, fitted to what it gets wrong on these rows."""
    grown = copy.deepcopy(model)
    grown.set_params(warm_start=True, early_stopping=False, max_iter=size(model) + rounds)
    grown.fixed_bins, grown.__class__ = grown._bin_mapper, _FixedBins
    grown.fit(features, fraud)
    del grown.fixed_bins
    grown.__class__ = HistGradientBoostingClassifier
    return grown.set_params(warm_start=False)


def size(model: HistGradientBoostingClassifier) -> int:
    """Return the number of rounds a model has made."""
    return int(model.n_iter_)


def in_float32(model: HistGradientBoostingClassifier) -> HistGradientBoostingClassifier:
    """Return the same model with thresholds that float32 can hold, the next ones below.

    A threshold lies midway between two values that were seen. ONNX holds it as float32, and where the two are
    neighbours it would become the upper one, which then goes left. Of float32 values the same go left as before.
    """
    same = copy.deepcopy(model)
    for [tree] in same._predictors:
        exact = tree.nodes["num_threshold"]
        with np.errstate(over="ignore"):
            near = exact.astype(np.float32)
        below = np.nextafter(near, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(near > exact, below, near)
    return same
