"""ONNX models as functions of arrays, computed by one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared.errors import BundleRefused

OnnxFunction = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""From inputs [n, F] to an output [n] or [n, width]; not finite values are NaN. Raises whatever ONNX Runtime does."""


def onnx_function(name: str, model: bytes, inputs: int, output: str) -> OnnxFunction:
    """Return the function that a model file computes.

    Raises BundleRefused if it does not take `inputs` features or lacks the `output`, and any error of ONNX Runtime.
    A function has one vCPU, on which more threads would only wait.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Without the fallback, which prints its steps and tries a model that cannot be loaded a second time.
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    shape, own = session.get_inputs()[0].shape, session.get_inputs()[0].name
    if len(shape) != 2 or shape[1] != inputs or output not in {each.name for each in session.get_outputs()}:
        raise BundleRefused(f"{name} takes {shape} and does not fit {inputs} features with an output `{output}`")

    def call(features: NDArray[np.float32]) -> NDArray[np.float64]:
        found = session.run([output], {own: np.ascontiguousarray(features)})[0]
        values = np.array(found, dtype=np.float64)
        values[~np.isfinite(values)] = np.nan  # np.interp would take infinity for a probability of 1
        return values

    return call
