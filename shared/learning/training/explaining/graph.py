"""The ONNX model around the nodes that compute contributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_OPSET = 18
_IR_VERSION = 8


def contributions_model(
    nodes: Sequence[onnx.NodeProto], groups: NDArray[np.intp], count: int, **constants: NDArray[Any]
) -> bytes:
    """Return a model with input `features` float32 [None, len(groups)], output `contributions` float32 [None, count].

    The bytes depend on its arguments only.
    """
    graph = helper.make_graph(
        nodes,
        "pix-fraud-reasons",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(groups)])],
        [helper.make_tensor_value_info("contributions", TensorProto.FLOAT, [None, count])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], producer_name="pix-fraud-scoring")
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
