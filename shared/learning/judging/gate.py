"""Decide whether a challenger replaces the incumbent: the champion, or the rules alone if no model serves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.config import GateSpec
from shared.learning.judging.bootstrap import Interval, estimate
from shared.learning.judging.clusters import Clusters
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.evaluate import saving
from shared.learning.judging.proportions import adjusted, chance_of_loss
from shared.learning.judging.segments import Dimension
from shared.scoring.rules import Decision


class GateCheck(Struct, frozen=True):
    """One check of the gate: the measured value, its limit, and a sentence on both.

    `measured` is None if there was too little to measure; such a check is neither passed nor failed, and `passed` is
    True so that it refuses no challenger.
    """

    name: str
    passed: bool
    measured: float | None
    limit: float
    text: str


class GateVerdict(Struct, frozen=True):
    """Whether to promote the challenger, the reasons, and all checks.

    `saving` is in BRL for a million Pix, `saving_interval` its interval at `confidence`. `notice` is a sentence on
    rows that the champion was trained on, empty if there are none.
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
    """Compare two contenders on the same rows; the incumbent is the champion, or the rules if no model serves.

    The challenger must save money: the lower bound of its saving, by a bootstrap of the differences row by row, must
    be above zero. It must not be worse than the incumbent beyond the margins, and not suspiciously good. A tie keeps
    the incumbent. With several challengers one may win by chance, so the confidence holds for all of them together
    (Bonferroni).
    """
    confidence = 1 - (1 - spec.confidence) / challengers
    found = estimate(saving(incumbent.scored.costs, challenger.scored.costs, period.resampling), confidence)
    gain = _saving(found.value, found.interval, incumbent.name, confidence)
    checks = [
        gain,
        _unseen_period(challenger, period),
        _better_than_chance(challenger, spec),
        _review_load(challenger, period, spec),
    ]
    checks += _against_model(challenger, incumbent, spec) if incumbent.is_model else []
    checks += _segment_floors(challenger, incumbent, period, spec)
    checks.append(_optimism(challenger, spec))
    objections = [check.text for check in checks if not check.passed]
    return GateVerdict(
        not objections, objections or [gain.text], checks, found.value, found.interval, confidence, period.notice
    )


def judge_all(
    challengers: Sequence[Contender], incumbent: Contender, period: TestPeriod, spec: GateSpec
) -> list[GateVerdict]:
    """Return the verdict on each challenger of one run, in the order given."""
    return [judge(one, incumbent, period, spec, len(challengers)) for one in challengers]


def best(verdicts: Sequence[GateVerdict]) -> int:
    """Return the index of the best challenger: the largest saving among those to promote, or else among all.

    The first one wins a tie.
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
        text = f"costs exactly as much as {incumbent}"
    return GateCheck("saving", interval.low > 0, interval.low, 0.0, text)


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


def _review_load(challenger: Contender, period: TestPeriod, spec: GateSpec) -> GateCheck:
    """Check the holds against the review budget, or the holds of the rules alone if these are more.

    Thresholds keep within the budget on the calibration period; the margin allows for later changes in traffic.
    """
    pix = challenger.evaluation.pix
    by_rules = float(period.weight[period.by_rule == Decision.HOLD].sum())
    limit = max(period.holds_max, by_rules) / pix * (1 + spec.review_margin)
    held = challenger.evaluation.held_share
    relation = "within" if held <= limit else "beyond"
    budget = (
        "the review budget" if by_rules <= period.holds_max else "the holds of the rules alone, above the budget,"
    )
    text = f"holds {held:.3%} of all Pix for review, {relation} {budget} plus its margin: {limit:.3%}"
    return GateCheck("review load", held <= limit, held, limit, text)


def _against_model(challenger: Contender, incumbent: Contender, spec: GateSpec) -> list[GateCheck]:
    """Return the checks against a model; rules alone have neither probabilities nor a ranking to compare."""
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
    """The change in the share of a segment's frauds that is stopped, and the p-value of a loss of that size."""

    label: str
    frauds: int
    share: float
    chance: float


def _segment_floors(
    challenger: Contender, incumbent: Contender, period: TestPeriod, spec: GateSpec
) -> list[GateCheck]:
    """Check for each dimension that in no segment clearly more frauds pass than with the incumbent.

    A loss is clear if it exceeds the margin and is significant (sign test on the frauds that only one of them stops;
    both sides of a Pix are one observation).
    The level holds for all segments of all dimensions together (Holm): among dozens, equal models differ in some.
    """
    fraud, pix = period.truth.fraud, period.pix[period.truth.fraud]
    new, old = (one.scored.decisions[fraud] != Decision.APPROVE for one in (challenger, incumbent))
    change = new.astype(np.int8) - old.astype(np.int8)
    found = [_changes(one, one.codes[fraud], pix, change, spec.segment_frauds_min) for one in period.dimensions]
    chances = iter(adjusted([one.chance for changes in found for one in changes]).tolist())
    sure = [[one._replace(chance=next(chances)) for one in changes] for changes in found]
    return [_segment_floor(one.title, changes, spec) for one, changes in zip(period.dimensions, sure, strict=True)]


def _changes(
    dimension: Dimension,
    codes: NDArray[np.intp],
    pix: NDArray[np.int32],
    change: NDArray[np.int8],
    frauds_min: int,
) -> list[_Change]:
    """Return the changes in segments with enough frauds.

    `codes`, `pix` and `change` are the segment, the Pix and the change of each fraud, [frauds]: 1 if only the
    challenger stops it, -1 if only the incumbent does.
    """
    size = len(dimension.labels)
    frauds, net = np.bincount(codes, minlength=size), np.bincount(codes, weights=change, minlength=size)
    clusters = Clusters.of(pix, codes)
    total = clusters.totals(change)
    more, less = (np.bincount(clusters.codes[one], minlength=size) for one in (total > 0, total < 0))
    return [
        _Change(
            label,
            int(frauds[code]),
            float(net[code] / frauds[code]),
            chance_of_loss(int(more[code]), int(less[code])),
        )
        for code, label in enumerate(dimension.labels)
        if frauds[code] >= frauds_min
    ]


def _segment_floor(title: str, changes: Sequence[_Change], spec: GateSpec) -> GateCheck:
    name = f"segments by {title}"
    if not changes:
        text = f"no segment has {spec.segment_frauds_min} frauds, too few to compare any"
        return GateCheck(name, True, None, -spec.segment_margin, text)
    level = (1 - spec.confidence) / 2  # one-sided, as only losses count
    clear = [change for change in changes if change.share < -spec.segment_margin and change.chance < level]
    worst = min(clear or changes, key=lambda change: change.share)
    of = f"{worst.label!r}, {worst.share:+.1%} of {worst.frauds} frauds stopped"
    text = f"{name}: clearly worse in {of}" if clear else f"no clear loss; the lowest change is in {of}"
    return GateCheck(name, not clear, worst.share, -spec.segment_margin, text)


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


def _alert_share(contender: Contender) -> float:
    return contender.evaluation.held_share + contender.evaluation.rejected_share


def _brl(value: float) -> str:
    return f"R$ {value:,.0f}"
