"""Trees of a boosted model as a few tests of features and the leaves behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.learning.training.families.boosting import in_float32


class Test(NamedTuple):
    """A split: a value goes left if it is at most `threshold`, and a missing one if `missing_left`."""

    feature: int
    threshold: float
    missing_left: bool


class Leaf(NamedTuple):
    """A leaf's value, and the way to it: pairs of a test's index and whether the way goes left there."""

    value: float
    way: tuple[tuple[int, bool], ...]


class SmallTree(NamedTuple):
    """The distinct tests of a tree, the root's first, and its leaves."""

    tests: list[Test]
    leaves: list[Leaf]

    def outcomes(self, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return whether vectors [n, F] go left at each test, [n, tests]."""
        columns = [test.feature for test in self.tests]
        values = vectors[:, columns]
        missing = np.isnan(values) & np.array([test.missing_left for test in self.tests], dtype=bool)
        limits = np.array([test.threshold for test in self.tests], dtype=np.float32)
        left: NDArray[np.bool_] = (values <= limits) | missing
        return left


def small_trees(model: HistGradientBoostingClassifier) -> list[SmallTree]:
    """Return the trees of a model with the thresholds that its ONNX export has."""
    return [_small_tree(tree.nodes) for [tree] in in_float32(model)._predictors]


def _small_tree(nodes: NDArray[Any]) -> SmallTree:
    tests: dict[Test, int] = {}
    for node in _by_depth(nodes):
        tests.setdefault(_test(node), len(tests))
    return SmallTree(list(tests), list(_leaves(nodes, tests, 0, ())))


def _by_depth(nodes: NDArray[Any]) -> Iterator[Any]:
    """Yield the inner nodes, those near the root first."""
    inner = nodes[nodes["is_leaf"] == 0]
    yield from inner[np.argsort(inner["depth"], kind="stable")]


def _test(node: Any) -> Test:
    return Test(int(node["feature_idx"]), float(node["num_threshold"]), bool(node["missing_go_to_left"]))


def _leaves(
    nodes: NDArray[Any], tests: dict[Test, int], index: int, way: tuple[tuple[int, bool], ...]
) -> Iterator[Leaf]:
    node = nodes[index]
    if node["is_leaf"]:
        yield Leaf(float(node["value"]), way)
        return
    test = tests[_test(node)]
    yield from _leaves(nodes, tests, int(node["left"]), (*way, (test, True)))
    yield from _leaves(nodes, tests, int(node["right"]), (*way, (test, False)))
