"""Decisions and their reasons, from scores and rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import Challenged
from shared.features.limits import limits_in_force
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, FiredRules, by_payee

MODEL_REASONS = 3  # groups of the model's inputs named by a decision
_NAMES = [[each.name_of("PAYER"), each.name_of("PAYEE")] for each in Decision]  # by severity and side


class Reasons(NamedTuple):
    """Codes of the groups that raise a score most, strongest first, and the contribution of each in log-odds."""

    codes: list[str]
    contributions: list[float]


def model_reasons(bundle: Bundle, vectors: NDArray[np.float32]) -> list[Reasons]:
    """Return the reasons of the scores of vectors [k, F] (LGPD art. 20: a right to an explanation).

    A group whose contribution is not finite, or lowers the score, is not a reason.
    """
    found = bundle.contributions(vectors)
    return strongest(bundle.reason_codes, found)


def strongest(codes: Sequence[str], contributions: NDArray[np.float64]) -> list[Reasons]:
    """Return the MODEL_REASONS largest contributions [k, len(codes)] of each row that are above zero.

    >>> strongest(["A", "B", "C"], np.array([[0.5, -1.0, 2.0], [0.0, -1.0, np.nan]]))
    [Reasons(codes=['C', 'A'], contributions=[2.0, 0.5]), Reasons(codes=[], contributions=[])]
    """
    raising = np.where(contributions > 0, contributions, 0.0)
    order = np.argsort(-raising, axis=1, kind="stable")[:, :MODEL_REASONS]
    values = np.take_along_axis(raising, order, axis=1)
    named, counts = np.array(codes, dtype=object)[order], np.count_nonzero(values, axis=1)
    rows = zip(named.tolist(), values.tolist(), counts.tolist(), strict=True)
    return [Reasons(own[:count], of_row[:count]) for own, of_row, count in rows]


class ModelScores(NamedTuple):
    """The transactions of a batch that one model scores: their indexes int64 [k] and scores float64 [k].

    `explain` returns the reasons of the model for its scores of vectors [m, F].
    """

    bundle: Bundle
    indexes: NDArray[np.int64]
    values: NDArray[np.float64]
    explain: Callable[[Bundle, NDArray[np.float32]], list[Reasons]] = model_reasons


class Decisions(NamedTuple):
    """Decisions about n transactions: score (None: no model), decision, and reasons of rules, then of the model.

    `contributions` are those of the reasons to the log-odds of the score before calibration; a rule, which is not
    part of the score, has 0.

    `hold_until` is the time in microseconds by which a Pix that is held or blocked has to be settled, released or
    refused, None for any other. `policy` and `chances` are those of the control group (`shared.scoring.control`): the
    decision of rules and model where a milder one was drawn, and the chance of that; None for any other.

    `versions` are those of the models that scored; `challenged` are the parts of a challenger in rows, empty where
    none is tried.
    """

    scores: list[float | None]
    decisions: list[str]
    reasons: list[list[str]]
    contributions: list[list[float]]
    hold_until: list[int | None]
    policy: list[str | None]
    chances: list[float | None]
    versions: list[str | None]
    challenged: Sequence[Challenged | None] = ()


def decide(
    features: NDArray[np.float32],
    scored: Sequence[ModelScores],
    fired: FiredRules,
    due: NDArray[np.int64],
) -> Decisions:
    """Return the severer of the decisions of rules and model; transactions without a score are left to the rules.

    A model with exact reasons gives those of every Pix, any other those of the Pix that it stops.

    `features` [n, F] tell the side of each decision: APPROVE, HOLD or REJECT by the payer's institution, APPROVE,
    BLOCK or REJECT by the payee's. `due` [n] are the times in microseconds at which the Pix were to be sent, never
    before they were initiated. Holds and blocks count from them: an institution that counts from the order or the
    credit has a little more time.
    """
    payees = by_payee(features)
    severity, reasons = fired.severity.copy(), [list(codes) for codes in fired.codes]
    contributions = [[0.0] * len(codes) for codes in reasons]
    scores: list[float | None] = [None] * len(features)
    versions: list[str | None] = [None] * len(features)
    for bundle, indexes, values, explain in scored:
        by_model = bundle.thresholds.reached(values, payees[indexes])
        severity[indexes] = np.maximum(severity[indexes], by_model)
        told = indexes if bundle.explains_all else indexes[by_model > 0]
        vectors = features if len(told) == len(features) else features[told]
        for i, found in zip(told.tolist(), explain(bundle, vectors) if len(told) else [], strict=True):
            reasons[i] += found.codes
            contributions[i] += found.contributions
        for i, value in zip(indexes.tolist(), values.tolist(), strict=True):
            scores[i], versions[i] = value, bundle.version
    names, until, none = names_of(severity, payees), hold_until(severity, payees, due), [None] * len(features)
    return Decisions(scores, names, reasons, contributions, until, [*none], [*none], versions)


def names_of(severity: NDArray[np.int8], payees: NDArray[np.bool_]) -> list[str]:
    """Return the names of n decisions by their severity and side."""
    return [_NAMES[each][side] for each, side in zip(severity.tolist(), payees.tolist(), strict=True)]


def hold_until(severity: NDArray[np.int8], payees: NDArray[np.bool_], due: NDArray[np.int64]) -> list[int | None]:
    """Return the times in microseconds by which n Pix that are held or blocked have to go on, None for any other."""
    until: list[int | None] = [None] * len(due)
    held = np.flatnonzero(severity == Decision.HOLD)
    ends = limits_in_force().hold_until(due[held], payees[held])
    for i, end in zip(held.tolist(), ends.tolist(), strict=True):
        until[i] = end
    return until
