"""Decisions and their reasons, from scores and rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, Rules

MODEL_REASONS = 3  # inputs of the model named by a decision
MODEL_PREFIX = "MODEL:"


class Decisions(NamedTuple):
    """Decisions about n transactions: score (None: no model), decision and reasons, strongest first."""

    scores: list[float | None]
    decisions: list[str]
    reasons: list[list[str]]


def decide(features: NDArray[np.float32], rules: Rules, bundle: Bundle | None) -> Decisions:
    """Return the severer decision of rules and model; without a model, that of the rules."""
    by_rule, reasons = rules.apply(features)
    if bundle is None:
        return Decisions([None] * len(features), [Decision(d).name for d in by_rule], reasons)
    scores = bundle.score(features)
    limits = bundle.thresholds
    by_model = (scores >= limits.hold).astype(np.int8) + (scores >= limits.reject)
    for i in np.flatnonzero(by_model):
        reasons[i] += model_reasons(bundle, features[i])
    decisions = [Decision(d).name for d in np.maximum(by_rule, by_model)]
    return Decisions(scores.tolist(), decisions, reasons)


def model_reasons(bundle: Bundle, vector: NDArray[np.float32]) -> list[str]:
    """Return codes of the inputs that raise this score most (LGPD art. 20: a right to an explanation)."""
    strongest = bundle.occlusion(vector)[:MODEL_REASONS]
    return [MODEL_PREFIX + name.upper() for name, fall in strongest if fall > 0]
