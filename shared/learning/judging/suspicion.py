"""Find the feature that alone ranks frauds best: if it is suspiciously good, it leaks the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.judging.bootstrap import Resampling
from shared.learning.judging.ranking import ranking_figures

_LEGITIMATE = 20_000  # rows that suffice to see whether a feature separates


class Strongest(NamedTuple):
    """The feature that alone ranks frauds best, and its average precision."""

    name: str
    average_precision: float


def strongest_feature(
    features: NDArray[np.float32],
    names: Sequence[str],
    inputs: Sequence[str],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
) -> Strongest:
    """Return the strongest of `inputs`, ranked by value, by negated value, or by being missing.

    `features` are [n, F] with columns `names`. If legitimate rows are many, every k-th is used with k times its
    weight.
    """
    frauds, legitimate = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    step = max(len(legitimate) // _LEGITIMATE, 1)
    rows = np.concatenate([frauds, legitimate[::step]])
    weights = np.where(fraud[rows], weight[rows], weight[rows] * step)
    all_rows = Resampling(np.zeros(len(rows), np.intp), weights, np.ones((1, 1)))
    found = [
        Strongest(name, _separation(features[rows, names.index(name)], fraud[rows], all_rows)) for name in inputs
    ]
    return max(found, key=lambda one: one.average_precision)


def _separation(column: NDArray[np.float32], fraud: NDArray[np.bool_], all_rows: Resampling) -> float:
    """Return the best average precision of one column [n]."""
    missing = np.isnan(column)
    values = np.asarray(column, dtype=np.float64)
    rankings = [missing.astype(np.float64), *(np.where(missing, -np.inf, way) for way in (values, -values))]
    return max(float(ranking_figures(one, fraud, 1.0, all_rows).average_precision[0]) for one in rankings)
