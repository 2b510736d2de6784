"""Decide whether a challenger replaces what serves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.config import GateSpec
from shared.learning.judging.bootstrap import Interval, estimate
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.evaluate import saving
from shared.learning.judging.proportions import adjusted, chance_of_loss
from shared.learning.judging.segments import Dimension
from shared.learning.judging.suspicion import strongest_feature
from shared.scoring.rules import Decision


class GateCheck(Struct, frozen=True):
    """One thing that the gate looked at: what was measured, what it may be, and a sentence that says it.

    `measured` is None where there was too little to measure; that refuses nobody, and is not said to have passed.
    """

    name: str
    passed: bool
    measured: float | None
    limit: float
    text: str


class GateVerdict(Struct, frozen=True):
    """Whether to promote, why, and everything that was checked.

    `saving` is in BRL for a million Pix, `saving_interval` its interval at `confidence`. The notice says what is to
    be known of the rows judged on.
    """

    promote: bool
    reasons: list[str]
    checks: list[GateCheck]
    saving: float
    saving_interval: Interval
    confidence: float
    notice: str


def judge(
    challenger: Contender, incumbent: Contender, period: TestPeriod, spec: GateSpec, challengers: int = 1
) -> GateVerdict:
    """Compare two contenders on the same rows; the incumbent is the champion, or the rules if there is none.

    The challenger must save money: the lower bound of its saving, by a bootstrap of the differences row by row, must
    be above zero. It must not be worse beyond the margins, and not be too good to be true. A tie keeps the incumbent.
    Of several challengers one may win by chance, so the confidence holds for all of them at once (Bonferroni).
    """
    confidence = 1 - (1 - spec.confidence) / challengers
    found = estimate(saving(incumbent.scored.costs, challenger.scored.costs, period.resampling), confidence)
    gain = _saving(found.value, found.interval, incumbent.name, confidence)
    checks = [gain, _untouched(challenger, period), _chance(challenger, spec), _review_load(challenger, period, spec)]
    checks += _against_model(challenger, incumbent, spec) if incumbent.is_model else []
    checks += _segment_floors(challenger, incumbent, period, spec)
    checks += [_optimism(challenger, spec), _leak(challenger, period, spec)]
    objections = [check.text for check in checks if not check.passed]
    return GateVerdict(
        not objections, objections or [gain.text], checks, found.value, found.interval, confidence, period.notice
    )


def judge_all(
    challengers: Sequence[Contender], incumbent: Contender, period: TestPeriod, spec: GateSpec
) -> list[GateVerdict]:
    """Return the verdict on each of several challengers of one run."""
    return [judge(one, incumbent, period, spec, len(challengers)) for one in challengers]


def best(verdicts: Sequence[GateVerdict]) -> int:
    """Return the index of the challenger to go on with: of those to promote, or else of all, the one that saves most.

    Of equals it is the first.
    """
    return max(range(len(verdicts)), key=lambda i: (verdicts[i].promote, verdicts[i].saving))


def _saving(value: float, interval: Interval, incumbent: str, confidence: float) -> GateCheck:
    sure = f"{confidence * 100:.4g}% interval {_brl(interval.low)} to {_brl(interval.high)}"
    if interval.low > 0:
        text = f"saves {_brl(value)} per million Pix against {incumbent} ({sure})"
    elif value > 0:
        text = f"the saving of {_brl(value)} per million Pix against {incumbent} may be chance ({sure})"
    elif value < 0:
        text = f"costs {_brl(-value)} per million Pix more than {incumbent} (saving: {sure})"
    else:
        text = f"costs exactly what {incumbent} costs"
    return GateCheck("saving", interval.low > 0, interval.low, 0.0, text)


def _untouched(challenger: Contender, period: TestPeriod) -> GateCheck:
    """Check that the challenger has learnt from nothing that it is judged on."""
    start = float(period.truth.initiated_at.min() / 1e6)
    seen = math.nan if challenger.seen_until is None else challenger.seen_until
    if seen < start:
        text = "has learnt only from Pix older than all that it is judged on"
    elif math.isnan(seen):
        text = "does not say which Pix it has learnt from"
    else:
        text = "has learnt from Pix that it is judged on"
    return GateCheck("untouched period", seen < start, seen, start, text)


def _chance(challenger: Contender, spec: GateSpec) -> GateCheck:
    figures = challenger.evaluation
    limit = spec.lift_min * figures.frauds / figures.pix
    passed = figures.average_precision >= limit
    relation = "is at least" if passed else "is below"
    text = f"average precision {figures.average_precision:.4f} {relation} {spec.lift_min:g} times chance"
    return GateCheck("better than chance", passed, figures.average_precision, limit, text)


def _review_load(challenger: Contender, period: TestPeriod, spec: GateSpec) -> GateCheck:
    """Check the holds against the budget, or against what rules alone hold if that is more.

    Thresholds keep to the budget on the calibration period; traffic that then changes gets the margin.
    """
    pix = challenger.evaluation.pix
    by_rules = float(period.weight[period.by_rule == Decision.HOLD].sum())
    limit = max(period.holds_max, by_rules) / pix * (1 + spec.review_margin)
    held = challenger.evaluation.held_share
    relation = "within" if held <= limit else "beyond"
    budget = "the budget" if by_rules <= period.holds_max else "what rules alone hold, which is more than the budget,"
    text = f"holds {held:.3%} of all Pix for review, {relation} {budget} with its margin: {limit:.3%}"
    return GateCheck("review load", held <= limit, held, limit, text)


def _against_model(challenger: Contender, incumbent: Contender, spec: GateSpec) -> list[GateCheck]:
    """Return the checks that make no sense against rules alone, which have no probability and no ranking."""
    new, old = challenger.evaluation, incumbent.evaluation
    floor = old.average_precision - spec.average_precision_margin
    ceiling = old.calibration_error + spec.calibration_margin
    volume, most = _alert_share(challenger), _alert_share(incumbent) * (1 + spec.alert_volume_margin)
    return [
        GateCheck(
            "average precision",
            new.average_precision >= floor,
            new.average_precision,
            floor,
            f"average precision {new.average_precision:.4f}, {incumbent.name} {old.average_precision:.4f}; "
            f"{spec.average_precision_margin:g} less is allowed",
        ),
        GateCheck(
            "calibration",
            new.calibration_error <= ceiling,
            new.calibration_error,
            ceiling,
            f"calibration error {new.calibration_error:.4f}, {incumbent.name} {old.calibration_error:.4f}; "
            f"{spec.calibration_margin:g} more is allowed",
        ),
        GateCheck(
            "alert volume",
            volume <= most,
            volume,
            most,
            f"stops {volume:.3%} of all Pix, {incumbent.name} {_alert_share(incumbent):.3%}; "
            f"{spec.alert_volume_margin:.0%} more is allowed",
        ),
    ]


class _Change(NamedTuple):
    """How the share of a segment's frauds that is stopped changes, and how likely chance loses as much."""

    label: str
    frauds: int
    share: float
    chance: float


def _segment_floors(
    challenger: Contender, incumbent: Contender, period: TestPeriod, spec: GateSpec
) -> list[GateCheck]:
    """Check for each dimension that in no segment clearly more frauds pass than with the incumbent.

    Clearly: beyond the margin, and more than chance explains (sign test of the frauds that only one of them stops).
    The level holds for all segments of all dimensions at once (Holm): of dozens, equal models differ in some.
    """
    fraud = period.truth.fraud
    new, old = (one.scored.decisions[fraud] != Decision.APPROVE for one in (challenger, incumbent))
    found = [_changes(one, fraud, new & ~old, old & ~new, spec.segment_frauds_min) for one in period.dimensions]
    chances = iter(adjusted([change.chance for changes in found for change in changes]).tolist())
    sure = [[change._replace(chance=next(chances)) for change in changes] for changes in found]
    return [_segment_floor(one.title, changes, spec) for one, changes in zip(period.dimensions, sure, strict=True)]


def _changes(
    dimension: Dimension,
    fraud: NDArray[np.bool_],
    gained: NDArray[np.bool_],
    lost: NDArray[np.bool_],
    frauds_min: int,
) -> list[_Change]:
    """Return the changes of the segments with enough frauds, from what each fraud's outcome was (gained, lost)."""
    codes, size = dimension.codes[fraud], len(dimension.labels)
    frauds, more, less = (np.bincount(part, minlength=size).tolist() for part in (codes, codes[gained], codes[lost]))
    return [
        _Change(label, frauds[code], (more[code] - less[code]) / frauds[code], chance_of_loss(more[code], less[code]))
        for code, label in enumerate(dimension.labels)
        if frauds[code] >= frauds_min
    ]


def _segment_floor(title: str, changes: Sequence[_Change], spec: GateSpec) -> GateCheck:
    name = f"segments by {title}"
    if not changes:
        text = f"no segment has {spec.segment_frauds_min} frauds, so none can be compared"
        return GateCheck(name, True, None, -spec.segment_margin, text)
    level = (1 - spec.confidence) / 2
    clear = [change for change in changes if change.share < -spec.segment_margin and change.chance < level]
    worst = min(clear or changes, key=lambda change: change.share)
    of = f"{worst.label!r}, {worst.share:+.1%} of {worst.frauds} frauds stopped"
    text = f"{name}: clearly worse in {of}" if clear else f"no clear loss; the least change is in {of}"
    return GateCheck(name, not clear, worst.share, -spec.segment_margin, text)


def _optimism(challenger: Contender, spec: GateSpec) -> GateCheck:
    """Check that the average precision does not fall steeply from the calibration period to the last one.

    It does if features of the past hold what became known only later. Measured to the upper end of the interval.
    """
    limit = spec.optimism_max
    if challenger.validation is None:
        return GateCheck("optimism", False, math.nan, limit, "does not say how good it was on the calibration period")
    fall = challenger.validation - challenger.intervals["average_precision"].high
    seen = f"average precision {challenger.validation:.4f} before, {challenger.evaluation.average_precision:.4f} now"
    passed = fall <= limit
    text = f"no steep fall since the calibration period ({seen})" if passed else f"suspiciously good before: {seen}"
    return GateCheck("optimism", passed, fall, limit, text)


def _leak(challenger: Contender, period: TestPeriod, spec: GateSpec) -> GateCheck:
    found = strongest_feature(
        period.features, period.names, challenger.inputs, period.truth.fraud, period.resampling.weight
    )
    passed = found.average_precision < spec.single_feature_max
    said = f"{found.name} by itself has an average precision of {found.average_precision:.3f}"
    text = f"no feature tells the label: {said}" if passed else f"suspiciously good: {said}, as if it told the label"
    return GateCheck("single feature", passed, found.average_precision, spec.single_feature_max, text)


def _alert_share(contender: Contender) -> float:
    return contender.evaluation.held_share + contender.evaluation.rejected_share


def _brl(value: float) -> str:
    return f"R$ {value:,.0f}"
