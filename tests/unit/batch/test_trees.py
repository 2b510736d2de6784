"""Small trees give the scores of ONNX Runtime to the bit, and any other model is left to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.batch import trees
from shared.batch.trees import ROWS_MIN, TreeSum, by_columns, tree_sum
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.training.export import onnx_bytes
from shared.scoring.bundle import MODEL, Bundle
from tests.unit.learning.bundles import NAMES, small_bundle

INPUTS = [FEATURE_NAMES.index(name) for name in NAMES]


def grown(leaves: int, used: int = len(NAMES)) -> bytes:
    """Return trees on three inputs, missing at random, which tell frauds by being missing too; some are constant."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3_000, len(NAMES))).astype(np.float32)
    features[rng.random(features.shape) < 0.2] = np.nan
    features[:, used:] = 0.0
    risk = np.nan_to_num(features, nan=1.0).sum(axis=1) + rng.normal(size=len(features))
    model = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=leaves, random_state=0)
    return onnx_bytes(model.fit(features, risk > 1.5), len(NAMES))


def attributes(model: bytes) -> dict[str, Any]:
    first = onnx.load_model_from_string(model).graph.node[0]
    return {each.name: onnx.helper.get_attribute_value(each) for each in first.attribute}


def edges(model: bytes, n: int) -> NDArray[np.float32]:
    """Return vectors of the limits of a model's tests, of the next numbers on both sides, and of no number."""
    limits = np.array(attributes(model)["nodes_values"], dtype=np.float32)
    beside = [np.nextafter(limits, np.float32(end)) for end in (-np.inf, np.inf)]
    values = np.concatenate([limits, *beside, np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)])
    vectors = np.full((n, len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    vectors[:, INPUTS] = np.random.default_rng(1).choice(values, size=(n, len(NAMES)))
    return vectors


@pytest.mark.parametrize("leaves", [2, 5, 8, 9])
@pytest.mark.parametrize("rows", [1, ROWS_MIN - 1, ROWS_MIN, 3_001])
def test_scores_are_those_of_onnx_runtime_to_the_bit(leaves: int, rows: int) -> None:
    model = grown(leaves)
    assert set(attributes(model)["nodes_missing_value_tracks_true"]) == {0, 1}
    files = small_bundle("v1", onnx=model)
    bundle = Bundle(files)
    fast, vectors = by_columns(bundle, files), edges(model, rows)
    assert fast is not bundle
    expected = bundle.score(vectors)
    assert len(set(expected.tolist())) > min(rows, 30) / 2
    for same in (vectors, np.asfortranarray(vectors)):
        assert fast.score(same).tobytes() == expected.tobytes()


def test_trees_that_test_more_than_a_byte_can_tell_are_left_to_onnx_runtime() -> None:
    files = small_bundle("v1", onnx=grown(leaves=10))
    bundle = Bundle(files)
    assert by_columns(bundle, files) is bundle


def test_another_model_is_left_to_onnx_runtime() -> None:
    files = small_bundle("v1")
    bundle = Bundle(files)
    assert by_columns(bundle, files) is bundle


@pytest.mark.parametrize(
    ("name", "value"), [("aggregate_function", "AVERAGE"), ("post_transform", "LOGISTIC"), ("n_targets", 2)]
)
def test_trees_that_are_not_merely_added_up_are_left_to_onnx_runtime(name: str, value: object) -> None:
    graph = onnx.load_model_from_string(grown(leaves=4)).graph
    assert tree_sum(graph) is not None
    kept = [each for each in graph.node[0].attribute if each.name != name]
    del graph.node[0].attribute[:]
    graph.node[0].attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
    assert tree_sum(graph) is None


def test_a_bit_of_difference_in_a_golden_vector_leaves_all_to_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    files = small_bundle("v1", onnx=grown(leaves=8))
    bundle = Bundle(files)
    right = tree_sum(onnx.load_model_from_string(files[MODEL]).graph)
    assert right is not None

    class Otherwise(TreeSum):
        def __init__(self) -> None:
            """Add nothing up."""

        def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
            total = right(inputs)
            total[-1] = np.nextafter(total[-1], np.float32(100))
            return total

    monkeypatch.setattr(trees, "tree_sum", lambda _: Otherwise())
    assert by_columns(bundle, files) is bundle


def test_features_that_no_tree_tests_are_not_read() -> None:
    files = small_bundle("v1", onnx=grown(leaves=8, used=2))
    bundle = Bundle(files)
    fast, vectors = by_columns(bundle, files), edges(files[MODEL], ROWS_MIN)
    assert (fast.features_read, bundle.features_read) == (list(NAMES[:2]), list(NAMES))
    blind = vectors.copy()
    blind[:, INPUTS[2]] = np.nan
    assert fast.score(blind).tobytes() == bundle.score(vectors).tobytes()
    assert fast.contributions(blind[:5]).tobytes() == bundle.contributions(vectors[:5]).tobytes()


def test_all_features_are_read_where_reasons_depend_on_others(monkeypatch: pytest.MonkeyPatch) -> None:
    files = small_bundle("v1", onnx=grown(leaves=8, used=2))
    bundle = Bundle(files)
    monkeypatch.setattr(bundle, "contributions", lambda vectors: vectors[:, INPUTS])
    assert by_columns(bundle, files).features_read == list(NAMES)
