"""Contributions add up to a score: as exactly as float32 tells, also where all scores are small."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from shared.scoring.explanation import adds_up

ROWS = 256  # as many as golden vectors
OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]


def served(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities [n] of log-odds [n], by ONNX Runtime as it computes a linear model's."""
    node = helper.make_node(
        *("LinearClassifier", ["x"], ["label", "score"]),
        domain="ai.onnx.ml",
        coefficients=[-1.0, 1.0],
        intercepts=[0.0, 0.0],
        classlabels_ints=[0, 1],
        multi_class=1,
        post_transform="LOGISTIC",
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 2])
    model = helper.make_model(helper.make_graph([node], "linear", [x], [score]), opset_imports=OPSETS, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(["score"], {"x": np.float32(log_odds[:, np.newaxis])})[0], dtype=np.float64)
    return found[:, 1]


def around(probability: float) -> NDArray[np.float64]:
    """Return log-odds [ROWS] around those of a probability."""
    centre = float(np.log(probability / (1 - probability)))
    return np.random.default_rng(3).normal(centre, 0.5, ROWS)


@pytest.mark.parametrize("probability", [1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 0.5, 0.99, 1 - 1e-5, 1 - 1e-8])
def test_right_contributions_to_scores_of_any_size_add_up(probability: float) -> None:
    log_odds = around(probability)
    assert adds_up(-1.0, log_odds[:, np.newaxis] + 1.0, served(log_odds))


def test_right_contributions_to_a_few_scores_that_repeat_add_up() -> None:
    for distinct in np.random.default_rng(4).normal(-11.0, 2.0, (50, 3)):
        log_odds = np.repeat(distinct, ROWS)
        assert adds_up(0.0, log_odds[:, np.newaxis], served(log_odds))


@pytest.mark.parametrize(
    ("probability", "factor"), [(1e-7, 1.5), (1e-6, 1.05), (1e-5, 1.02), (1e-5, 0.98), (1e-4, 1.002), (0.1, 1.002)]
)
def test_a_base_that_is_wrong_is_found_though_scores_are_small(probability: float, factor: float) -> None:
    log_odds = around(probability)
    assert not adds_up(-1.0 + np.log(factor), log_odds[:, np.newaxis] + 1.0, served(log_odds))


@pytest.mark.parametrize(("probability", "wrong"), [(1e-5, 1.02e-5), (1e-6, 1.2e-6), (1e-7, 3e-7)])
def test_one_small_score_tells_a_base_that_is_wrong(probability: float, wrong: float) -> None:
    assert not adds_up(float(np.log(wrong / (1 - wrong))), np.zeros((1, 3)), np.array([probability]))
