"""Interventional Shapley values of one small tree, for every outcome of its tests.

The value of a set of features is the mean, over a background, of the tree's answer to the explained vector with all
other features from a background vector. Such an answer depends on the outcomes of the tree's tests alone, so the
values are piecewise constant: one vector of them for each outcome.
Sources: Lundberg et al., From Local Explanations to Global Understanding with Explainable AI for Trees, Nature
Machine Intelligence, 2020 (interventional values by leaf); arXiv 2302.08434 (piecewise constant on the tests).
"""

from __future__ import annotations

from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.training.explaining.small_tree import Leaf, SmallTree


class _Weights(NamedTuple):
    """Shares of a leaf's value by the numbers of features that only the vector meets, or only the background.

    `[a, b]` is the share of each of the first kind in `gain`, and of each of the second, to subtract, in `loss`.
    """

    gain: NDArray[np.float64]
    loss: NDArray[np.float64]


def shapley_values(
    tree: SmallTree, outcomes: NDArray[np.bool_], background: NDArray[np.bool_]
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the features of a tree and their values [n, features], for outcomes [n, tests] of its tests.

    `background` [m, tests] are the outcomes of background vectors. Values of a row sum to the tree's answer to it
    minus the mean of its answers to the background.
    """
    features = sorted({test.feature for test in tree.tests})
    rows, counts = np.unique(background, axis=0, return_counts=True)
    values = np.zeros((len(outcomes), len(features)))
    for leaf in tree.leaves:
        own, found = _of_leaf(tree, leaf, outcomes, rows, counts / len(background))
        values[:, [features.index(feature) for feature in own]] += found
    return features, values


def _of_leaf(
    tree: SmallTree,
    leaf: Leaf,
    outcomes: NDArray[np.bool_],
    background: NDArray[np.bool_],
    share: NDArray[np.float64],
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the features on the way to a leaf and their values [n, features]; rows [m] weigh `share`."""
    features = sorted({tree.tests[test].feature for test, _ in leaf.way})
    met, also = (_met(tree, leaf, features, each) for each in (outcomes, background))
    only, never = met @ (1 - also).T, (1 - met) @ (1 - also).T  # numbers of features, [n, m]
    other = (1 - met) @ also.T
    reached = np.where(never == 0, leaf.value * share, 0.0)
    weights, a, b = _weights(len(features)), only.astype(np.intp), other.astype(np.intp)
    gain, loss = reached * weights.gain[a, b], reached * weights.loss[a, b]
    return features, met * (gain @ (1 - also)) - (1 - met) * (loss @ also)


def _met(tree: SmallTree, leaf: Leaf, features: list[int], outcomes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return 1 where a row meets every test of a feature on the way to a leaf, else 0, [n, features]."""
    met = np.ones((len(outcomes), len(features)))
    for test, left in leaf.way:
        met[:, features.index(tree.tests[test].feature)] *= outcomes[:, test] == left
    return met


def _weights(most: int) -> _Weights:
    gain, loss = np.zeros((most + 1, most + 1)), np.zeros((most + 1, most + 1))
    for a in range(most + 1):
        for b in range(most + 1 - a):
            if a:
                gain[a, b] = factorial(a - 1) * factorial(b) / factorial(a + b)
            if b:
                loss[a, b] = factorial(a) * factorial(b - 1) / factorial(a + b)
    return _Weights(gain, loss)
