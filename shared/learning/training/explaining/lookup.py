"""A boosted model's contributions as ONNX: the outcomes of a tree's tests number a row of a table.

Shapley values are constant on the outcomes of a tree's tests, so a tree of at most 8 leaves has at most 128 vectors
of values. A score has one of them for each tree, and a matrix adds them up by group. A TreeEnsembleRegressor with the
same vectors in its leaves takes three times as long in a batch, as each of its steps waits for the one before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.learning.errors import ExportFailed
from shared.learning.specs.search import LEAVES_MAX
from shared.learning.training.explaining.graph import contributions_model
from shared.learning.training.explaining.shapley import shapley_values
from shared.learning.training.explaining.small_tree import SmallTree, Test, small_trees

TESTS_MAX = LEAVES_MAX - 1
"""Tests of a tree."""


class _Bit(NamedTuple):
    """A comparison of a column with a limit, true if it is greater, and whether a true one means left.

    The columns are the inputs, then the inputs negated. A missing value is greater than nothing, so the sign of the
    column says on which side of the test it goes.
    """

    column: int
    limit: np.float32
    means_left: bool


class _Lookup(NamedTuple):
    """The comparisons of T trees, [TESTS_MAX, T], and the first row of each in the table, [T].

    `table` [rows, TESTS_MAX] has the values of a tree's features, and `sums` [T * TESTS_MAX, groups] is 1 where a
    feature of a tree belongs to a group.
    """

    columns: NDArray[np.int64]
    limits: NDArray[np.float32]
    starts: NDArray[np.float32]
    table: NDArray[np.float32]
    sums: NDArray[np.float32]


def boosted_contributions(
    model: HistGradientBoostingClassifier, background: NDArray[np.float32], groups: NDArray[np.intp], count: int
) -> bytes:
    """Return ONNX that gives the contribution of each of `count` groups to the log-odds of a model's raw score.

    `background` is [m, F]; `groups` [F] is the group of each input. Raises ExportFailed for a tree with more than
    LEAVES_MAX leaves, whose outcomes would be too many.
    """
    trees = small_trees(model)
    if wide := [len(tree.leaves) for tree in trees if len(tree.leaves) > LEAVES_MAX]:
        raise ExportFailed(f"a tree has {max(wide)} leaves, more than {LEAVES_MAX}")
    lookup = _lookup(trees, background, groups, count)
    return contributions_model(_nodes(), groups, count, **_constants(lookup))


def _lookup(trees: list[SmallTree], background: NDArray[np.float32], groups: NDArray[np.intp], count: int) -> _Lookup:
    inputs = len(groups)
    columns = np.zeros((TESTS_MAX, len(trees)), dtype=np.int64)
    limits = np.full((TESTS_MAX, len(trees)), np.inf, dtype=np.float32)  # no value is greater: the bit is 0
    sums = np.zeros((len(trees), TESTS_MAX, count), dtype=np.float32)
    tables = []
    for number, tree in enumerate(trees):
        bits = [_bit(test, inputs) for test in tree.tests]
        for k, bit in enumerate(bits):
            columns[k, number], limits[k, number] = bit.column, bit.limit
        features, values = shapley_values(tree, _outcomes(bits), tree.outcomes(background))
        sums[number, np.arange(len(features)), groups[features]] = 1.0
        tables.append(np.pad(values, ((0, 0), (0, TESTS_MAX - len(features)))))
    starts = np.cumsum([0, *map(len, tables)])[:-1].astype(np.float32)
    table = np.concatenate(tables).astype(np.float32)
    return _Lookup(columns, limits, starts, table, sums.reshape(-1, count))


def _bit(test: Test, inputs: int) -> _Bit:
    limit = np.float32(test.threshold)
    if test.missing_left:
        return _Bit(test.feature, limit, means_left=False)
    return _Bit(inputs + test.feature, np.nextafter(-limit, np.float32(-np.inf)), means_left=True)


def _outcomes(bits: list[_Bit]) -> NDArray[np.bool_]:
    """Return the outcomes of tests for each number that bits can have, [2^tests, tests]; the first bit is worth 1."""
    numbers = np.arange(2 ** len(bits))[:, np.newaxis]
    true = numbers >> np.arange(len(bits)) & 1 == 1
    outcomes: NDArray[np.bool_] = true == np.array([bit.means_left for bit in bits], dtype=bool)
    return outcomes


def _constants(lookup: _Lookup) -> dict[str, NDArray[Any]]:
    tests, trees = lookup.columns.shape
    return {
        "columns": lookup.columns.reshape(-1),
        "limits": lookup.limits.reshape(-1, 1),
        "worths": np.exp2(np.arange(tests, dtype=np.float32)).reshape(1, -1),
        "by_test": np.array([tests, -1], dtype=np.int64),
        "by_tree": np.array([trees, -1], dtype=np.int64),
        "starts": lookup.starts.reshape(-1, 1),
        "table": lookup.table,
        "by_vector": np.array([-1, trees * tests], dtype=np.int64),
        "sums": lookup.sums,
    }


def _nodes() -> list[onnx.NodeProto]:
    """Return the nodes; up to `places` a row is a test or a tree, so that the vectors of a batch lie side by side."""
    node = helper.make_node
    return [
        node("Transpose", ["features"], ["values"], perm=[1, 0]),
        node("Neg", ["values"], ["negated"]),
        node("Concat", ["values", "negated"], ["both"], axis=0),
        node("Gather", ["both", "columns"], ["compared"], axis=0),
        node("Greater", ["compared", "limits"], ["greater"]),
        node("Cast", ["greater"], ["bits"], to=TensorProto.FLOAT),
        node("Reshape", ["bits", "by_test"], ["of_test"]),
        node("MatMul", ["worths", "of_test"], ["numbers"]),
        node("Reshape", ["numbers", "by_tree"], ["of_tree"]),
        node("Add", ["of_tree", "starts"], ["places"]),
        node("Cast", ["places"], ["whole"], to=TensorProto.INT32),
        node("Transpose", ["whole"], ["rows"], perm=[1, 0]),
        node("Gather", ["table", "rows"], ["parts"], axis=0),
        node("Reshape", ["parts", "by_vector"], ["of_vector"]),
        node("MatMul", ["of_vector", "sums"], ["contributions"]),
    ]
