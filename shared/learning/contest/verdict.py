"""Say whether a challenger is better or worse than the champion, at any look."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from shared.learning.contest.sequence import limits
from shared.learning.judging.bootstrap import Interval
from shared.learning.judging.proportions import chance_of_loss
from shared.learning.judging.saving import Saving
from shared.learning.specs.contest import ContestSpec
from shared.learning.specs.gate import GateSpec

Outcome = Literal["BETTER", "WORSE", "NOT_SHOWN", "TOO_FEW"]
"""It saves money; it costs money; neither was shown; or the labels are too few to say."""


class ContestEvidence(NamedTuple):
    """The evidence of a look: days with labels, frauds among their Pix, and the saving of the challenger.

    By arms, `frauds` are those of the arm with fewer.

    `differing_frauds` are those that only one of both stops, of equal weight. `saving` is None while none is.
    `unjudged` is the saving, in BRL per million judged Pix, on decisions without a label if the champion is right
    about them (`judging.stakes`). `growth_known` is false while older days do not tell yet how many of the frauds of
    a day are known at the age of the labels.
    """

    days: int
    frauds: float
    differing_frauds: float
    saving: Saving | None
    unjudged: float = 0.0
    growth_known: bool = True


class ContestVerdict(Struct, frozen=True):
    """The outcome of a look and the reason; the saving is in BRL per million Pix, None where it is not known.

    `low` and `high` are the limits that hold at all looks together, each at the level of false promotions. `ended` is
    true for a comparison that needs no further look.
    """

    outcome: Outcome
    reason: str
    days: int
    ended: bool = False
    saving: float | None = None
    low: float | None = None
    high: float | None = None


def judge(found: ContestEvidence, spec: ContestSpec, gate: GateSpec) -> ContestVerdict:
    """Return the verdict of a look.

    The limits decide. As in the gate, neither the saving by labels alone nor the frauds stopped may speak against a
    challenger that is better, and the saving must not be lost again on decisions that no label judges. These only
    take promotions away, so they add no false ones.
    """
    over = found.days >= spec.days_max
    few = _few(found, spec, gate)
    if few or found.saving is None:
        return ContestVerdict("TOO_FEW", few, found.days, over)
    saving = found.saving
    within = limits(saving.expected, gate.false_promotions, spec.tightest_days)
    outcome, reason = _outcome(saving, within, found.unjudged, gate.confidence)
    return ContestVerdict(
        outcome,
        reason,
        found.days,
        over or outcome != "NOT_SHOWN",
        saving.expected.value,
        within.low,
        within.high,
    )


def _few(found: ContestEvidence, spec: ContestSpec, gate: GateSpec) -> str:
    """Return a sentence on the evidence that is too little, empty if none is."""
    if not found.growth_known:
        return "how many frauds are known at the age of the labels is not: no days of before tell (jobs.monitor)"
    if found.days < spec.days_min:
        return f"{found.days} of {spec.days_min} days have labels"
    if found.frauds < gate.frauds_min:
        return f"{found.frauds:,.0f} of {gate.frauds_min:,} frauds are known"
    if found.differing_frauds < spec.differing_frauds_min:
        limit = spec.differing_frauds_min
        return f"only one of both stops {found.differing_frauds:,.0f} of the {limit:,} frauds that a verdict needs"
    return "" if found.saving else "no fraud is known that only one of both stops"


def _outcome(saving: Saving, within: Interval, unjudged: float, confidence: float) -> tuple[Outcome, str]:
    value = saving.expected.value
    sure = f"R$ {value:,.0f} per million Pix (R$ {within.low:,.0f} to {within.high:,.0f} at all looks together)"
    both = value + unjudged
    if within.low > 0:
        if saving.realised.interval(confidence).high < 0:
            return "NOT_SHOWN", f"saves {sure} by the scores, and loses money by the labels alone"
        if chance_of_loss(saving.gained, saving.lost) < 1 - confidence:
            return "NOT_SHOWN", f"saves {sure}, and stops fewer frauds: {saving.gained:,.0f} for {saving.lost:,.0f}"
        if both <= 0:
            return "NOT_SHOWN", f"saves {sure}, and may lose it on decisions without a label: R$ {both:,.0f} in all"
        return "BETTER", f"saves {sure}"
    if within.high < 0 and both < 0:
        return "WORSE", f"costs money: it saves {sure}"
    return "NOT_SHOWN", f"the saving of {sure} may be chance"
