"""Decide whether a challenger replaces the incumbent: the champion, or the rules alone if no model serves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.checks import GateCheck
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.looks import LookBudget, budget
from shared.learning.judging.margins import margin_checks
from shared.learning.judging.proportions import chance_of_loss, effective_cases
from shared.learning.judging.record import NO_PAST, Past
from shared.learning.judging.saving import Saving, measure_saving
from shared.learning.judging.segment_floors import segment_floors
from shared.learning.judging.stakes import Stakes, stakes
from shared.learning.specs.gate import GateSpec

Outcome = Literal["PROMOTE", "REFUSE", "TOO_FEW"]
"""Promote; refuse, as something speaks against it; or too few labels to say, where nothing else does."""
SAVING, ENOUGH_FRAUDS, UNKNOWABLE = "saving", "enough frauds", "what cannot be judged"


class GateVerdict(Struct, frozen=True):
    """Whether to promote the challenger, the reasons, and all checks.

    `saving` is the expected one in BRL for a million Pix, `saving_interval` its interval at `confidence`, whose lower
    end is at the `level` that this look spent on the challenger; `realised` and its interval are by the labels alone.
    `detectable` is the least true saving that would be seen with a chance of 80 %, `detectable_share` in relation to
    the incumbent's cost. `looks` are those taken before at days of this period. `notice` is a sentence on rows that
    the champion was trained on, empty if there are none. `stakes` are those of decisions without a label, and
    `overall` is the expected saving with them, at `confidence`; both None if these are not known.
    """

    outcome: Outcome
    reasons: list[str]
    checks: list[GateCheck]
    saving: float
    saving_interval: Interval
    realised: float
    realised_interval: Interval
    confidence: float
    level: float
    detectable: float
    detectable_share: float
    looks: int
    notice: str
    stakes: Stakes | None = None
    overall: Estimate | None = None

    @property
    def promote(self) -> bool:
        """Whether the challenger may serve."""
        return self.outcome == "PROMOTE"


def judge(
    challenger: Contender,
    incumbent: Contender,
    period: TestPeriod,
    spec: GateSpec,
    past: Past = NO_PAST,
    challengers: int = 1,
) -> GateVerdict:
    """Compare two contenders on the same rows; the incumbent is the champion, or the rules if no model serves.

    The challenger must save money: the lower limit of its expected saving must be above zero, at the level that the
    looks so far have left (see `looks.budget`). It must not lose that saving on decisions whose labels its
    predecessor has made impossible (see `stakes`). Neither the realised saving nor the number of frauds stopped may
    speak against it. It must not be worse than the incumbent beyond the margins, keep the ceilings, and not be
    suspiciously good. A tie keeps the incumbent. With several challengers one may win by chance, so they share the
    level (Bonferroni).
    """
    look = look_at(period, spec, past)
    level = look.level / challengers
    saving = measure_saving(challenger, incumbent, period)
    gain = _saving(saving, incumbent.name, level)
    unknown = _stakes(challenger, incumbent, period)
    checks = [
        gain,
        _enough_frauds(period, spec),
        _unknowable(saving, unknown, incumbent.name, is_known=period.unjudged is not None),
        _realised(saving, spec),
        _frauds_stopped(saving, incumbent.name, spec),
        _unseen_period(challenger, period),
        _better_than_chance(challenger, spec),
        *margin_checks(challenger, incumbent, period, spec, past),
        *segment_floors(challenger, incumbent, period, spec),
        _optimism(challenger, spec),
    ]
    return _verdict(checks, saving, unknown, incumbent, period, spec, level, look)


def look_at(period: TestPeriod, spec: GateSpec, past: Past) -> LookBudget:
    """Return the budget of a look at a period after those that the ledger knows."""
    at = period.truth.initiated_at
    return budget(past.looks, float(at.min() / 1e6), float(at.max() / 1e6), spec)


def judge_all(
    challengers: Sequence[Contender],
    incumbent: Contender,
    period: TestPeriod,
    spec: GateSpec,
    past: Past = NO_PAST,
) -> list[GateVerdict]:
    """Return the verdict on each challenger of one run, in the order given."""
    return [judge(one, incumbent, period, spec, past, len(challengers)) for one in challengers]


def best(verdicts: Sequence[GateVerdict]) -> int:
    """Return the index of the best challenger: the largest saving among those to promote, or else among all.

    The first one wins a tie.
    """
    return max(range(len(verdicts)), key=lambda i: (verdicts[i].promote, verdicts[i].saving))


def _verdict(
    checks: list[GateCheck],
    saving: Saving,
    unknown: Stakes | None,
    incumbent: Contender,
    period: TestPeriod,
    spec: GateSpec,
    level: float,
    look: LookBudget,
) -> GateVerdict:
    """Return the verdict that the checks add up to. A saving that is not seen in too few frauds says nothing."""
    few = [check for check in checks if not check.passed and check.lacks_data]
    against = [check for check in checks if not check.passed and not check.lacks_data]
    if any(check.name == ENOUGH_FRAUDS for check in few):
        against = [check for check in against if check.name != SAVING]
    outcome: Outcome = "REFUSE" if against else "TOO_FEW" if few else "PROMOTE"
    confidence = 1 - 2 * level
    detectable = saving.expected.detectable(level)
    cost = incumbent.evaluation.cost_per_million
    return GateVerdict(
        outcome,
        [check.text for check in [*against, *few] or checks[:1]],
        checks,
        saving.expected.value,
        saving.expected.interval(confidence),
        saving.realised.value,
        saving.realised.interval(spec.confidence),
        confidence,
        level,
        detectable,
        detectable / cost if cost > 0 else math.nan,
        look.looks,
        period.notice,
        unknown,
        Estimate(saving.overall.value, saving.overall.interval(confidence)) if saving.overall else None,
    )


def _saving(saving: Saving, incumbent: str, level: float) -> GateCheck:
    """Check that the expected saving is above zero."""
    value, interval = saving.expected.value, saving.expected.interval(1 - 2 * level)
    sure = f"{(1 - 2 * level) * 100:.4g}% interval {_brl(interval.low)} to {_brl(interval.high)}"
    if interval.low > 0:
        text = f"saves {_brl(value)} per million Pix against {incumbent} ({sure})"
    elif value > 0:
        text = f"the saving of {_brl(value)} per million Pix against {incumbent} may be chance ({sure})"
    elif value < 0:
        text = f"costs {_brl(-value)} per million Pix more than {incumbent} (saving: {sure})"
    else:
        text = f"costs exactly as much as {incumbent}"
    return GateCheck(SAVING, interval.low > 0, interval.low, 0.0, text)


def _enough_frauds(period: TestPeriod, spec: GateSpec) -> GateCheck:
    """Check that the period has enough frauds for a verdict: Pix of equal weight that tell as much as those there."""
    totals = np.bincount(period.pix[period.truth.fraud] - period.pix.min(), period.weight[period.truth.fraud])
    _, frauds = effective_cases(0.0, float(totals.sum()), float((totals**2).sum()))
    passed = frauds >= spec.frauds_min
    relation = "enough for a verdict: at least" if passed else "too few to say: fewer than"
    text = f"{frauds:,.0f} frauds in the test period, {relation} {spec.frauds_min:,}"
    return GateCheck(ENOUGH_FRAUDS, passed, frauds, spec.frauds_min, text, lacks_data=not passed)


def _stakes(challenger: Contender, incumbent: Contender, period: TestPeriod) -> Stakes | None:
    if period.unjudged is None or challenger.opinion is None or incumbent.opinion is None:
        return None
    pix = float(period.weight.sum())
    return stakes(challenger.opinion, incumbent.opinion, period.unjudged, period.costs, pix)


def _unknowable(saving: Saving, unknown: Stakes | None, incumbent: str, is_known: bool) -> GateCheck:
    """Check that the saving is not lost again on decisions without a label, if the incumbent was right about them."""
    judged = saving.expected.value
    if not is_known:
        text = "the decisions without a label are not known: this training set was stored without them"
        return GateCheck(UNKNOWABLE, False, None, -judged, text, lacks_data=True)
    if unknown is None:
        text = f"what {incumbent} would decide without a label is not known: only its record is left"
        return GateCheck(UNKNOWABLE, True, None, -judged, text)
    if not unknown.differing:
        text = f"decides like {incumbent} on all {unknown.rows:,.0f} decisions without a label"
        return GateCheck(UNKNOWABLE, True, 0.0, -judged, text)
    passed = judged <= 0 or judged + unknown.saving > 0
    low, high = unknown.scores.low, unknown.scores.high
    scores = "" if math.isnan(low) else f", to which {incumbent} gives {low:.2%} to {high:.2%}"
    text = (
        f"decides otherwise than {incumbent} on {unknown.differing:,.0f} of {unknown.rows:,.0f} decisions without a "
        f"label, of {_brl(unknown.differing_amount)}{scores}; if {incumbent} is right about them, this "
        f"{'saves' if unknown.saving >= 0 else 'costs'} {_brl(abs(unknown.saving))} per million Pix"
    )
    if not passed:
        text = f"{text}, more than it saves on the others: whether it saves money cannot be known"
    return GateCheck(UNKNOWABLE, passed, unknown.saving, -judged, text, lacks_data=not passed)


def _realised(saving: Saving, spec: GateSpec) -> GateCheck:
    """Check that the saving by the labels does not contradict the expected one."""
    found = saving.realised
    high = found.interval(spec.confidence).high
    passed = high >= 0
    text = f"by the labels alone it saves {_brl(found.value)} per million Pix, at most {_brl(high)}"
    return GateCheck("realised saving", passed, high, 0.0, text if passed else f"{text}: it lost money")


def _frauds_stopped(saving: Saving, incumbent: str, spec: GateSpec) -> GateCheck:
    """Check by a sign test that it does not stop fewer frauds; campaigns count, as their frauds are alike."""
    chance, limit = chance_of_loss(saving.gained, saving.lost), 1 - spec.confidence
    misses = f"misses {saving.lost:,.0f} that it stops"
    text = f"stops {saving.gained:,.0f} campaigns that {incumbent} does not, and {misses}"
    return GateCheck("frauds stopped", chance >= limit, chance, limit, text)


def _unseen_period(challenger: Contender, period: TestPeriod) -> GateCheck:
    """Check that the challenger was trained and calibrated only on rows before the test period."""
    start = float(period.truth.initiated_at.min() / 1e6)
    seen = math.nan if challenger.seen_until is None else challenger.seen_until
    if seen < start:
        text = "was trained only on Pix older than the test period"
    elif math.isnan(seen):
        text = "does not state which Pix it was trained on"
    else:
        text = "was trained on Pix of the test period"
    return GateCheck("untouched period", seen < start, seen, start, text)


def _better_than_chance(challenger: Contender, spec: GateSpec) -> GateCheck:
    """Check the average precision against that of random scores, which is the share of frauds."""
    figures = challenger.evaluation
    limit = spec.lift_min * figures.frauds / figures.pix
    passed = figures.average_precision >= limit
    relation = "is at least" if passed else "is below"
    text = f"average precision {figures.average_precision:.4f} {relation} {spec.lift_min:g} times chance"
    return GateCheck("better than chance", passed, figures.average_precision, limit, text)


def _optimism(challenger: Contender, spec: GateSpec) -> GateCheck:
    """Check that the average precision does not fall steeply from the calibration period to the test period.

    A steep fall points to leakage: features of past rows contain facts that became known only later. The fall is
    measured to the upper end of the interval, so that chance alone does not refuse a challenger.
    """
    limit = spec.optimism_max
    if challenger.validation is None:
        return GateCheck(
            "optimism", False, math.nan, limit, "does not state its average precision on the calibration period"
        )
    fall = challenger.validation - challenger.intervals["average_precision"].high
    seen = f"average precision {challenger.validation:.4f}, now {challenger.evaluation.average_precision:.4f}"
    passed = fall <= limit
    text = f"{'no steep fall since' if passed else 'suspiciously good on'} the calibration period: {seen}"
    return GateCheck("optimism", passed, fall, limit, text)


def _brl(value: float) -> str:
    return f"R$ {value:,.0f}"
