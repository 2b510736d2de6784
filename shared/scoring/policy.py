"""Decisions and their reasons, from scores and rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.limits import limits_in_force
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, FiredRules, by_payee

MODEL_REASONS = 3  # inputs of the model named by a decision
MODEL_PREFIX = "MODEL:"
_NAMES = [[each.name_of("PAYER"), each.name_of("PAYEE")] for each in Decision]  # by severity and side


def model_reasons(bundle: Bundle, vector: NDArray[np.float32]) -> list[str]:
    """Return codes of the inputs that raise this score most (LGPD art. 20: a right to an explanation)."""
    strongest = bundle.occlusion(vector)[:MODEL_REASONS]
    return [MODEL_PREFIX + name.upper() for name, fall in strongest if fall > 0]


class ModelScores(NamedTuple):
    """The transactions of a batch that one model scores: their indexes int64 [k] and scores float64 [k].

    `explain` returns the reasons of the model for its score of a vector [F].
    """

    bundle: Bundle
    indexes: NDArray[np.int64]
    values: NDArray[np.float64]
    explain: Callable[[Bundle, NDArray[np.float32]], list[str]] = model_reasons


class Decisions(NamedTuple):
    """Decisions about n transactions: score (None: no model), decision and reasons, strongest first.

    `hold_until` is the time in microseconds by which a Pix that is held or blocked has to be settled, released or
    refused, None for any other. `policy` and `chances` are those of the control group (`shared.scoring.control`): the
    decision of rules and model where a milder one was drawn, and the chance of that; None for any other.
    """

    scores: list[float | None]
    decisions: list[str]
    reasons: list[list[str]]
    hold_until: list[int | None]
    policy: list[str | None]
    chances: list[float | None]


def decide(
    features: NDArray[np.float32],
    scored: Sequence[ModelScores],
    fired: FiredRules,
    due: NDArray[np.int64],
) -> Decisions:
    """Return the severer of the decisions of rules and model; transactions without a score are left to the rules.

    `features` [n, F] tell the side of each decision: APPROVE, HOLD or REJECT by the payer's institution, APPROVE,
    BLOCK or REJECT by the payee's. `due` [n] are the times in microseconds at which the Pix were to be sent. Holds
    and blocks count from them: an institution that counts from the order or the credit has a little more time.
    """
    payees = by_payee(features)
    severity, reasons = fired.severity.copy(), [list(codes) for codes in fired.codes]
    scores: list[float | None] = [None] * len(features)
    for bundle, indexes, values, explain in scored:
        by_model = bundle.thresholds.reached(values, payees[indexes])
        severity[indexes] = np.maximum(severity[indexes], by_model)
        for i in indexes[np.flatnonzero(by_model)]:
            reasons[i] += explain(bundle, features[i])
        for i, value in zip(indexes.tolist(), values.tolist(), strict=True):
            scores[i] = value
    names = [_NAMES[each][side] for each, side in zip(severity.tolist(), payees.tolist(), strict=True)]
    none = [None] * len(features)
    return Decisions(scores, names, reasons, hold_until(severity, payees, due), [*none], [*none])


def hold_until(severity: NDArray[np.int8], payees: NDArray[np.bool_], due: NDArray[np.int64]) -> list[int | None]:
    """Return the times in microseconds by which n Pix that are held or blocked have to go on, None for any other."""
    until: list[int | None] = [None] * len(due)
    held = np.flatnonzero(severity == Decision.HOLD)
    ends = limits_in_force().hold_until(due[held], payees[held])
    for i, end in zip(held.tolist(), ends.tolist(), strict=True):
        until[i] = end
    return until
