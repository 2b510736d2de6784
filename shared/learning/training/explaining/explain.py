"""Explain a trained model: exactly where its family allows it, otherwise by occlusion."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from shared.learning.errors import ExportFailed
from shared.learning.training.explaining.linear import linear_contributions
from shared.learning.training.explaining.lookup import boosted_contributions
from shared.scoring.explanation import ADDITIVITY, OCCLUSION, SHAPLEY, Explanation
from shared.scoring.reason_words import reason_words

ADDITIVE = ADDITIVITY / 10
"""Largest difference of a model's log-odds from base plus contributions, relative to their size above 1."""


class ExplainedModel(NamedTuple):
    """How a model is explained, and `reasons.onnx`, None where its family has no exact contributions."""

    explanation: Explanation
    onnx: bytes | None


def explain(
    model: Any, names: Sequence[str], background: NDArray[np.float32], reference: NDArray[np.float32]
) -> ExplainedModel:
    """Return the explanation of a model with the inputs `names`, against the vectors of a background [m, F].

    Raises ExportFailed if contributions do not add up on the vectors `reference` [n, F].
    """
    members = grouped(names)
    build = exact_builder(model)
    if build is None:
        return ExplainedModel(Explanation(OCCLUSION, members), None)
    of_input = np.array([_index(members, name) for name in names], dtype=np.intp)
    data: bytes = build(model, background, of_input, len(members))
    base = float(model.decision_function(background).mean())
    require_additivity(model, reference, data, base)
    return ExplainedModel(Explanation(SHAPLEY, members, base, background_hash(background)), data)


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the inputs of each reason group that has any, in the order of the file of words.

    >>> grouped(["new_pair", "amount", "amount_log"])
    {'NEW_PAYEE': ['new_pair'], 'AMOUNT': ['amount', 'amount_log']}
    """
    words = reason_words()
    own = {
        group.code: [name for name in names if words.group_of[name] == index]
        for index, group in enumerate(words.groups)
    }
    return {code: members for code, members in own.items() if members}


def background_hash(background: NDArray[np.float32]) -> str:
    """Return the SHA-256 of vectors [m, F], by rows."""
    return hashlib.sha256(np.ascontiguousarray(background, dtype=np.float32).tobytes()).hexdigest()


def onnx_contributions(data: bytes, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the contributions [n, groups] that an ONNX model computes."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    [found] = session.run(["contributions"], {"features": np.ascontiguousarray(features)})
    return np.asarray(found, dtype=np.float64)


def require_additivity(model: Any, features: NDArray[np.float32], data: bytes, base: float) -> float:
    """Return the largest difference of a model's log-odds from base plus contributions.

    It is relative to their size, above 1. Raises ExportFailed above ADDITIVE.
    """
    exact = np.asarray(model.decision_function(features), dtype=np.float64)
    found = onnx_contributions(data, features)
    size = np.maximum(np.abs(found).sum(axis=1), 1.0)
    worst = float(np.max(np.abs(base + found.sum(axis=1) - exact) / size))
    if not worst <= ADDITIVE:
        raise ExportFailed(f"contributions differ from the log-odds by {worst:.2g}, more than {ADDITIVE:.0e}")
    return worst


def exact_builder(model: Any) -> Any:
    """Return the function that builds exact contributions, None for a family without."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if isinstance(last, HistGradientBoostingClassifier):
        return boosted_contributions
    return linear_contributions if isinstance(last, LogisticRegression) else None


def _index(members: dict[str, list[str]], name: str) -> int:
    return next(index for index, own in enumerate(members.values()) if name in own)
