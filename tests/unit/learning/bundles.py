"""Small bundles that serve, made in a moment, without a training."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.scoring.bundle import Calibration, Manifest
from shared.scoring.thresholds import SideThresholds, Thresholds

MADE_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NAMES = FEATURE_NAMES[:3]


def small_bundle(version: str, slope: float = 1.0, onnx: bytes = b"", **facts: Any) -> dict[str, bytes]:
    """Return the files of a bundle with the model `onnx`, or else `logistic(slope)`."""
    reference = np.random.default_rng(0).normal(size=(64, len(NAMES))).astype(np.float32)
    calibration = Calibration([0.0, 1.0], [0.0, 1.0])
    thresholds = SideThresholds(payer=Thresholds(0.5, 0.9), payee=Thresholds(0.5, 0.9))
    parts = BundleParts(slope, onnx or logistic(slope), NAMES, calibration, thresholds, reference)
    facts = {"created_at": MADE_AT.isoformat(), **facts}
    return sealed(pack(parts, reference, seed=0), Manifest(version=version, files={}, **facts))


RAISES = np.array([0.0], np.float32)
"""The table of `faulty` for a model that raises: it has no second entry."""
NOT_A_NUMBER = np.array([0.0, np.nan], np.float32)
"""The table of `faulty` for a model that answers NaN."""
INFINITE = np.array([0.0, np.inf], np.float32)
"""The table of `faulty` for a model that answers infinity."""
FAULT_ABOVE = 1000.0
"""The first input from which a model by `faulty` fails."""


def logistic(slope: float) -> bytes:
    """Return an ONNX model with the inputs NAMES; missing values count as 0."""
    return _model([helper.make_node("Sigmoid", ["sum"], ["score"])], slope)


def faulty(table: NDArray[np.float32]) -> bytes:
    """Return `logistic(1.0)` which adds to the score an entry of `table`: 0, or 1 if the first input is too large."""
    first, limit = np.array([0], np.int64), np.array(FAULT_ABOVE, np.float32)
    nodes = [
        helper.make_node("Sigmoid", ["sum"], ["sound"]),
        helper.make_node("Gather", ["present", "first"], ["amount"], axis=1),
        helper.make_node("Greater", ["amount", "limit"], ["large"]),
        helper.make_node("Cast", ["large"], ["entry"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "entry"], ["fault"]),
        helper.make_node("Add", ["sound", "fault"], ["score"]),
    ]
    return _model(nodes, 1.0, table=table, first=first, limit=limit)


def _model(nodes: list[NodeProto], slope: float, **constants: NDArray[Any]) -> bytes:
    """Return a model whose last `nodes` make the score of `sum`, and of `present`, the inputs without NaN."""
    constants["weights"] = np.full((len(NAMES), 1), slope, np.float32)
    constants["zero"] = np.array(0, np.float32)
    before = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["present"]),
        helper.make_node("MatMul", ["present", "weights"], ["sum"]),
    ]
    graph = helper.make_graph(
        [*before, *nodes],
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(NAMES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    data: bytes = model.SerializeToString(deterministic=True)
    return data
