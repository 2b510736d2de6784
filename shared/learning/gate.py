"""Decide whether a challenger replaces what serves."""

from __future__ import annotations

from msgspec import Struct

from shared.learning.config import GateSpec
from shared.learning.evaluate import Evaluation


class Verdict(Struct, frozen=True):
    """Whether to promote, and why."""

    promote: bool
    reasons: list[str]


class Contender(Struct, frozen=True):
    """A model's figures, its name, and the time of its last training example (seconds; None: unknown)."""

    name: str
    evaluation: Evaluation
    trained_until: float | None


def judge(challenger: Contender, incumbent: Contender, spec: GateSpec) -> Verdict:
    """Compare two evaluations of the same rows; the incumbent is the champion, or the rules if there is none.

    The challenger must beat chance, must not be worse beyond the margins in average precision and in cost, and must
    be cheaper, or have learnt from later examples. Without such a gain the incumbent stays.
    """
    objections = [*_worse_than_chance(challenger.evaluation, spec), *_worse(challenger, incumbent, spec)]
    if objections:
        return Verdict(promote=False, reasons=objections)
    gains = _gains(challenger, incumbent)
    if not gains:
        return Verdict(promote=False, reasons=[f"neither cheaper nor fresher than {incumbent.name}"])
    return Verdict(promote=True, reasons=gains)


def _worse_than_chance(evaluation: Evaluation, spec: GateSpec) -> list[str]:
    chance = evaluation.frauds / evaluation.rows
    if evaluation.average_precision >= spec.lift_min * chance:
        return []
    return [f"average precision {evaluation.average_precision:.4f} is below {spec.lift_min:g} times chance"]


def _worse(challenger: Contender, incumbent: Contender, spec: GateSpec) -> list[str]:
    new, old = challenger.evaluation, incumbent.evaluation
    objections = []
    if new.average_precision < old.average_precision - spec.average_precision_margin:
        objections.append(
            f"average precision {new.average_precision:.4f} is more than {spec.average_precision_margin:g} "
            f"below the {old.average_precision:.4f} of {incumbent.name}"
        )
    if new.cost_per_million > old.cost_per_million:
        objections.append(
            f"cost of {_brl(new.cost_per_million)} per million is above the {_brl(old.cost_per_million)} "
            f"of {incumbent.name}"
        )
    return objections


def _gains(challenger: Contender, incumbent: Contender) -> list[str]:
    new, old = challenger.evaluation.cost_per_million, incumbent.evaluation.cost_per_million
    gains = []
    if new < old:
        gains.append(f"costs {_brl(new)} per million, {incumbent.name} {_brl(old)}")
    own, theirs = challenger.trained_until, incumbent.trained_until
    if own is not None and theirs is not None and own > theirs:
        gains.append(f"learnt from later examples than {incumbent.name}")
    return gains


def _brl(value: float) -> str:
    return f"R$ {value:,.0f}"
