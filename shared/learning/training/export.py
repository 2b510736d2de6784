"""Export models: to ONNX for functions, to joblib for the record of a run."""

from __future__ import annotations

import io
import warnings
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.learning.errors import ExportFailed
from shared.learning.training.families.boosting import in_float32
from shared.learning.training.train import raw_scores

PARITY = 1e-5  # largest difference allowed between the scores of ONNX and scikit-learn, on every held-out row
_OPSET = {"": 18, "ai.onnx.ml": 3}
_CHUNK = 65_536  # rows of a call, which bounds the memory of onnxruntime


def onnx_bytes(model: Any, inputs: int) -> bytes:
    """Return the ONNX model, with input `features` float32 [None, inputs] and output `score` float32 [None, 1].

    The bytes depend on the model only: they hold no generated names and no time.
    """
    if isinstance(model, HistGradientBoostingClassifier):
        model = in_float32(model)
    with warnings.catch_warnings():
        # skl2onnx writes flags as booleans where protobuf wants integers; the lock pins a protobuf that takes them.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
        exported = to_onnx(
            model,
            name="pix-fraud",
            initial_types=[("features", FloatTensorType([None, inputs]))],
            options={"zipmap": False},
            target_opset=_OPSET,
        )
    if isinstance(model, HistGradientBoostingClassifier):
        _add_up_trees(exported.graph)
    else:
        _keep_fraud_probability(exported.graph)
    exported.producer_name, exported.producer_version, exported.doc_string = "pix-fraud-scoring", "", ""
    onnx.checker.check_model(exported)
    data: bytes = exported.SerializeToString(deterministic=True)
    return data


def joblib_bytes(model: Any) -> bytes:
    """Return the model as a pickle, for people who trust the run that made it; nothing of ours opens it."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer, compress=0)
    return buffer.getvalue()


def onnx_scores(data: bytes, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the raw scores [n] of an ONNX model, as functions serve them."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    parts = [
        session.run(["score"], {"features": np.ascontiguousarray(features[start : start + _CHUNK])})[0]
        for start in range(0, len(features), _CHUNK)
    ]
    return np.concatenate(parts).reshape(-1).astype(np.float64)


def require_parity(model: Any, features: NDArray[np.float32], served: NDArray[np.float64]) -> float:
    """Return the largest difference between trained and served raw scores [n]. Raises ExportFailed above PARITY."""
    worst = float(np.max(np.abs(raw_scores(model, features) - served)))
    if not worst <= PARITY:
        raise ExportFailed(f"ONNX and scikit-learn differ by {worst:.2g}, more than {PARITY:.0e}")
    return worst


def _add_up_trees(graph: onnx.GraphProto) -> None:
    """Replace a classifier of boosted trees by the logistic of their sum.

    ONNX Runtime adds up one target faster than a classifier's classes. The logistic is spelt out: the classifier
    takes a small probability from 1, which leaves a multiple of 6e-8, and Sigmoid is approximate and falls in places.
    """
    [classifier] = graph.node
    node = onnx.helper.make_node
    trees = node("TreeEnsembleRegressor", ["features"], ["log_odds"], domain="ai.onnx.ml", n_targets=1)
    for attribute in classifier.attribute:
        if attribute.name not in ("classlabels_int64s", "post_transform"):
            attribute.name = attribute.name.replace("class_", "target_")
            trees.attribute.append(attribute)
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], dtype=np.float32), "one"))
    del graph.node[:]
    graph.node.extend(
        [
            trees,
            node("Neg", ["log_odds"], ["negative"]),
            node("Exp", ["negative"], ["odds_against"]),
            node("Add", ["odds_against", "one"], ["inverse"]),
            node("Reciprocal", ["inverse"], ["score"]),
        ]
    )
    _give_score(graph)


def _keep_fraud_probability(graph: onnx.GraphProto) -> None:
    """Replace the outputs label and probabilities [n, 2] by `score`, the second column."""
    probabilities = graph.output[1].name
    column = onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "fraud_column")
    graph.initializer.append(column)
    graph.node.append(onnx.helper.make_node("Gather", [probabilities, "fraud_column"], ["score"], axis=1))
    _give_score(graph)


def _give_score(graph: onnx.GraphProto) -> None:
    """Make `score` the only output of a graph."""
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, [None, 1]))
