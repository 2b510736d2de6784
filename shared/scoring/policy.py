"""Decisions and their reasons, from scores and rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, FiredRules

MODEL_REASONS = 3  # inputs of the model named by a decision
MODEL_PREFIX = "MODEL:"


class ModelScores(NamedTuple):
    """The transactions of a batch that one model scores: their indexes int64 [k] and scores float64 [k]."""

    bundle: Bundle
    indexes: NDArray[np.int64]
    values: NDArray[np.float64]


class Decisions(NamedTuple):
    """Decisions about n transactions: score (None: no model), decision and reasons, strongest first."""

    scores: list[float | None]
    decisions: list[str]
    reasons: list[list[str]]


def decide(features: NDArray[np.float32], scored: Sequence[ModelScores], fired: FiredRules) -> Decisions:
    """Return the severer of the decisions of rules and model; transactions without a score are left to the rules."""
    severity, reasons = fired.severity.copy(), [list(codes) for codes in fired.codes]
    scores: list[float | None] = [None] * len(features)
    for bundle, indexes, values in scored:
        limits = bundle.thresholds
        by_model = (values >= limits.hold).astype(np.int8) + (values >= limits.reject)
        severity[indexes] = np.maximum(severity[indexes], by_model)
        for i in indexes[np.flatnonzero(by_model)]:
            reasons[i] += model_reasons(bundle, features[i])
        for i, value in zip(indexes.tolist(), values.tolist(), strict=True):
            scores[i] = value
    return Decisions(scores, [Decision(each).name for each in severity], reasons)


def model_reasons(bundle: Bundle, vector: NDArray[np.float32]) -> list[str]:
    """Return codes of the inputs that raise this score most (LGPD art. 20: a right to an explanation)."""
    strongest = bundle.occlusion(vector)[:MODEL_REASONS]
    return [MODEL_PREFIX + name.upper() for name, fall in strongest if fall > 0]
