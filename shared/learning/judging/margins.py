"""Checks of a challenger against budgets, ceilings and margins."""

from __future__ import annotations

import numpy as np

from shared.learning.judging import calibration
from shared.learning.judging.ceilings import REJECTS_MIN, Rejects, rejects_by_side
from shared.learning.judging.checks import GateCheck
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.record import ChampionRecord, Past
from shared.learning.specs.gate import GateSpec
from shared.scoring.rules import Decision


def margin_checks(
    challenger: Contender, incumbent: Contender, period: TestPeriod, spec: GateSpec, past: Past
) -> list[GateCheck]:
    """Return the checks of stops, of probabilities, and of the loss against models of now and before."""
    rejects = rejects_by_side(challenger.scored.decisions, period)
    checks = [_review_load(challenger, period, spec)]
    checks += [check for one in rejects for check in (_good_rejected(one), _reject_precision(one))]
    checks += [_expected_frauds(challenger, period, spec), _slope(challenger, period, spec)]
    checks += [_average_precision(challenger, incumbent, spec)] if incumbent.is_model else []
    fraud_share = challenger.evaluation.frauds / challenger.evaluation.pix
    if record := past.best(fraud_share):
        checks.append(_best_on_record(challenger, record, fraud_share, spec))
    return checks + ([_refused_champion(challenger, period, past)] if past.refused else [])


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


def _good_rejected(rejects: Rejects) -> GateCheck:
    """Check the share of legitimate Pix that are rejected against its ceiling, against the rules alone as well."""
    limit, found = rejects.spec.reject_share_max, rejects.good
    relation = "within" if rejects.within_share else "beyond"
    of = f"{found.value:.3%} of good customers rejected by the model on the {rejects.side}'s side"
    text = f"{of}, {relation} the ceiling of {limit:.3%}"
    return GateCheck(f"good customers rejected, {rejects.side}", rejects.within_share, found.value, limit, text)


def _reject_precision(rejects: Rejects) -> GateCheck:
    """Check the share of frauds among the Pix that the model rejects against its ceiling."""
    name, limit = f"precision of rejects, {rejects.side}", rejects.spec.reject_precision_min
    found = rejects.precision
    if not rejects.rejected:
        return GateCheck(name, True, None, limit, f"the model rejects no Pix on the {rejects.side}'s side")
    text = f"{found.value:.1%} of {rejects.rejected:,} rejects on the {rejects.side}'s side are frauds"
    if not rejects.judged:
        ends = f"{found.interval.low:.1%} to {found.interval.high:.1%}"
        text = f"{text}; fewer than {REJECTS_MIN} cannot be judged ({ends})"
        return GateCheck(name, True, None, limit, text)
    return GateCheck(name, rejects.precise, found.value, limit, f"{text}; at least {limit:.0%} must be")


def _expected_frauds(challenger: Contender, period: TestPeriod, spec: GateSpec) -> GateCheck:
    """Check the frauds expected by the scores against those seen, beyond chance."""
    found = calibration.log_ratio(challenger.scored.scores, period)
    ends = found.interval(spec.confidence)
    value, low, high = (float(np.exp(end)) for end in (found.value, ends.low, ends.high))
    passed = low <= spec.calibration_ratio_max and high >= 1 / spec.calibration_ratio_max
    text = (
        f"scores expect {value:.2f} frauds for one seen ({low:.2f} to {high:.2f}); "
        f"{1 / spec.calibration_ratio_max:.2g} to {spec.calibration_ratio_max:.2g} is allowed"
    )
    return GateCheck("expected frauds", passed, value, spec.calibration_ratio_max, text)


def _slope(challenger: Contender, period: TestPeriod, spec: GateSpec) -> GateCheck:
    """Check that scores are not far too extreme, beyond chance."""
    found = calibration.slope(challenger.scored.scores, period)
    ends = found.interval(spec.confidence)
    limit = spec.calibration_slope_min
    sure = f"{ends.low:.2f} to {ends.high:.2f}"
    text = f"slope of the log-odds {found.value:.2f} ({sure}), 1 is ideal; {limit:g} is the least"
    return GateCheck("calibration slope", ends.high >= limit, found.value, limit, text)


def _average_precision(challenger: Contender, incumbent: Contender, spec: GateSpec) -> GateCheck:
    new, old = (one.evaluation.average_precision for one in (challenger, incumbent))
    floor = old * (1 - spec.average_precision_margin)
    allowed = f"{spec.average_precision_margin:.0%} less is allowed"
    text = f"average precision {new:.4f}, {incumbent.name} {old:.4f}; {allowed}"
    return GateCheck("average precision", new >= floor, new, floor, text)


def _best_on_record(challenger: Contender, record: ChampionRecord, fraud_share: float, spec: GateSpec) -> GateCheck:
    """Check that margins of many promotions do not add up: the best ranking of the last months bounds the loss.

    That one was measured on other Pix, so the upper end of the interval counts.
    """
    then = record.average_precision_at(fraud_share)
    floor, high = then * (1 - spec.average_precision_margin), challenger.intervals["average_precision"].high
    text = (
        f"average precision up to {high:.4f}; {record.version}, the best of {spec.record_months:g} months, "
        f"would have {then:.4f} at this share of frauds"
    )
    return GateCheck("best on record", high >= floor, high, floor, text)


def _refused_champion(challenger: Contender, period: TestPeriod, past: Past) -> GateCheck:
    """Check against the record of a champion whose bundle is refused: its cost in relation to that of the rules.

    It still is the thing to beat, as functions may hold it in memory and its bundle can be repaired.
    """
    name, record = "refused champion", past.record_of_refused()
    if record is None:
        text = f"{past.refused} serves, but its bundle is refused and the ledger has no figures of it to compare with"
        return GateCheck(name, False, None, np.nan, text)
    rules = float(period.weight @ period.losses[np.arange(len(period.pix)), period.by_rule])
    own = float(period.weight @ challenger.scored.costs) / rules if rules > 0 else np.inf
    text = (
        f"costs {own:.1%} of the rules alone; {record.version}, whose bundle is refused, cost {record.cost_share:.1%}"
    )
    limit = record.cost_share * (1 + 1e-9)  # sums in another order differ in the last digits
    return GateCheck(name, own <= limit, own, record.cost_share, text)
