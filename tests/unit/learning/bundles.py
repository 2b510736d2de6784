"""Small bundles that serve, made in a moment, without a training."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.scoring.bundle import Calibration, Manifest, SideThresholds, Thresholds

MADE_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NAMES = FEATURE_NAMES[:3]


def small_bundle(version: str, slope: float = 1.0, **facts: Any) -> dict[str, bytes]:
    """Return the files of a bundle whose score is the logistic function of the sum of a few inputs times `slope`."""
    reference = np.random.default_rng(0).normal(size=(64, len(NAMES))).astype(np.float32)
    calibration = Calibration([0.0, 1.0], [0.0, 1.0])
    thresholds = SideThresholds(payer=Thresholds(0.5, 0.9), payee=Thresholds(0.5, 0.9))
    parts = BundleParts(slope, logistic(slope), NAMES, calibration, thresholds)
    facts = {"created_at": MADE_AT.isoformat(), **facts}
    return sealed(pack(parts, reference, seed=0), Manifest(version=version, files={}, **facts))


def logistic(slope: float) -> bytes:
    """Return an ONNX model with the inputs NAMES; missing values count as 0."""
    weights = numpy_helper.from_array(np.full((len(NAMES), 1), slope, np.float32), "weights")
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["present"]),
        helper.make_node("MatMul", ["present", "weights"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(NAMES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [weights, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    data: bytes = model.SerializeToString(deterministic=True)
    return data
