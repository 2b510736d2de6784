"""The gate: the saving to prove, the margins to keep, and the figures that are suspiciously good."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.learning.data.split import DAY
from shared.learning.judging import comparison
from shared.learning.judging.bootstrap import Resampling
from shared.learning.judging.comparison import Contender
from shared.learning.judging.evaluate import Truth
from shared.learning.judging.gate import GateVerdict, best, judge, judge_all
from shared.learning.judging.looks import Look
from shared.learning.judging.record import ChampionRecord, Past
from shared.learning.judging.segments import Dimension
from shared.learning.judging.stakes import Opinion, UnjudgedRows
from shared.learning.specs.gate import SideCosts
from shared.learning.training.costs import decision_costs
from shared.learning.training.thresholds import decisions
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.unit.learning.synthetic import QUICK

ROWS = 4_000
NAMES = ("amount", "hour", "weekday")
SPEC = QUICK.gate
REPEATS = 150
THRESHOLDS = SideThresholds(payer=Thresholds(0.2, 0.4), payee=Thresholds(0.2, 0.4))


_NONE = np.zeros(0)
NONE_LOST = UnjudgedRows(
    np.zeros((0, 3), np.float32),
    _NONE.astype(np.int64),
    _NONE,
    _NONE,
    _NONE,
    _NONE.astype(bool),
    _NONE.astype(np.int8),
)
NO_OPINION = Opinion(np.zeros(0), np.zeros(0, np.int8))


def period(order: np.ndarray | None = None) -> comparison.TestPeriod:
    """A period of 40 days and two segments; `order` permutes its rows."""
    rng = np.random.default_rng(0)
    order = np.arange(ROWS) if order is None else order
    fraud = (rng.random(ROWS) < 0.06)[order]
    amount, at = rng.lognormal(5, 1, ROWS)[order], np.sort(rng.integers(0, 40 * DAY, ROWS))[order]
    halves = Dimension("half", ("one", "other"), rng.integers(0, 2, ROWS)[order], comparable=True)
    return comparison.TestPeriod(
        rng.normal(size=(ROWS, 3)).astype(np.float32)[order],
        NAMES,
        Truth(fraud, amount, at),
        Resampling.of(at, np.ones(ROWS), 200, 0),
        np.arange(ROWS, dtype=np.int32),
        np.arange(ROWS),
        np.zeros(ROWS, bool),
        np.zeros(ROWS, np.int8),
        decision_costs(fraud, amount, QUICK.costs.payer),
        QUICK.costs,
        [halves],
        alert_share=0.01,
        confidence=0.95,
        holds_max=0.05 * ROWS,
        notice="",
        unjudged=NONE_LOST,
    )


PERIOD = period()


def scores(noise: float, seed: int = 0, order: np.ndarray | None = None) -> np.ndarray:
    """Calibrated scores that separate frauds, less well with more noise."""
    fraud = PERIOD.truth.fraud
    seen = np.where(fraud, 1.0, -1.0) + np.random.default_rng(seed).normal(scale=noise, size=ROWS)
    odds = 2 * seen / noise**2 + np.log(0.06 / 0.94)
    found: np.ndarray = 1 / (1 + np.exp(-odds))
    return found if order is None else found[order]


def model(name: str, values: np.ndarray, at: comparison.TestPeriod = PERIOD, **facts: Any) -> Contender:
    known: dict[str, Any] = {"inputs": NAMES, "seen_until": -1.0, "validation": 0.6, "opinion": NO_OPINION} | facts
    return at.contender(name, values, decisions(values, THRESHOLDS, at.payees, at.by_rule), **known)


GOOD, POOR = model("good", scores(0.6)), model("poor", scores(1.0))


def failed(verdict: GateVerdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_a_challenger_that_saves_money_within_all_margins_is_promoted() -> None:
    verdict = judge(GOOD, POOR, PERIOD, SPEC)
    assert verdict.promote, verdict.reasons
    assert verdict.saving_interval.low > 0
    assert "saves R$" in verdict.reasons[0]


def test_the_same_the_other_way_round_is_refused_with_every_reason() -> None:
    verdict = judge(POOR, GOOD, PERIOD, SPEC)
    assert not verdict.promote
    assert {"saving", "average precision"} <= failed(verdict)
    assert verdict.reasons == [check.text for check in verdict.checks if not check.passed]


def test_a_tie_keeps_the_champion() -> None:
    verdict = judge(dataclasses.replace(GOOD, name="again"), GOOD, PERIOD, SPEC)
    assert not verdict.promote
    assert (verdict.outcome, verdict.saving, failed(verdict)) == ("REFUSE", 0, {"saving"})
    assert verdict.reasons == ["costs exactly as much as good"]


@given(st.integers(0, 2**31))
@settings(max_examples=5)
def test_the_order_of_rows_changes_no_verdict(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(ROWS)
    there = period(order)
    verdict = judge(
        model("good", scores(0.6, order=order), there), model("poor", scores(1.0, order=order), there), there, SPEC
    )
    known = judge(GOOD, POOR, PERIOD, SPEC)
    assert verdict.promote == known.promote
    for one, other in zip(verdict.checks, known.checks, strict=True):
        assert (one.name, one.passed) == (other.name, other.passed)
        assert one.measured == pytest.approx(other.measured)


def test_a_saving_that_may_be_chance_is_refused() -> None:
    verdict = judge(model("it", scores(0.6, seed=1)), GOOD, PERIOD, SPEC)
    assert "saving" in failed(verdict)
    assert verdict.saving_interval.low < 0 < verdict.saving_interval.high


def changed(**facts: Any) -> Contender:
    return dataclasses.replace(GOOD, **facts)


def figured(contender: Contender, **figures: float) -> Contender:
    return dataclasses.replace(contender, evaluation=msgspec.structs.replace(contender.evaluation, **figures))


@pytest.mark.parametrize(
    ("challenger", "name"),
    [
        (changed(seen_until=None), "untouched period"),
        (changed(seen_until=20 * DAY / 1e6), "untouched period"),
        (figured(GOOD, average_precision=0.05), "better than chance"),
        (figured(GOOD, held_share=0.2), "review load"),
        (changed(validation=None), "optimism"),
    ],
)
def test_one_failed_check_refuses_and_is_named(challenger: Contender, name: str) -> None:
    verdict = judge(challenger, POOR, PERIOD, SPEC)
    assert name in failed(verdict)
    assert not verdict.promote


@pytest.mark.parametrize(("beyond", "passed"), [(1e-9, True), (-1e-9, False)])
def test_average_precision_may_fall_by_its_relative_margin(beyond: float, passed: bool) -> None:
    least = POOR.evaluation.average_precision * (1 - SPEC.average_precision_margin) + beyond
    assert judge(figured(GOOD, average_precision=least), POOR, PERIOD, SPEC).promote == passed
    assert GOOD.evaluation.average_precision > POOR.evaluation.average_precision


@pytest.mark.parametrize(("beyond", "passed"), [(-1e-9, True), (1e-9, False)])
def test_holds_may_exceed_the_review_budget_by_their_own_margin_only(beyond: float, passed: bool) -> None:
    held = 0.05 * (1 + SPEC.review_margin) + beyond
    verdict = judge(figured(GOOD, held_share=held, rejected_share=0), POOR, PERIOD, SPEC)
    assert ("review load" not in failed(verdict)) == passed


def test_a_large_loss_in_one_segment_refuses_despite_a_saving() -> None:
    values = scores(0.2)  # far better than the incumbent ...
    values[(PERIOD.dimensions[0].codes == 1) & (PERIOD.truth.amount < 200)] = 0.001  # ... but blind to the small half
    verdict = judge(model("it", values), model("old", scores(0.9)), PERIOD, SPEC)
    assert "saving" not in failed(verdict)
    assert "segments by half" in failed(verdict)
    assert "'other'" in verdict.reasons[0]


def test_equal_models_are_rarely_refused_for_any_of_many_segments() -> None:
    rng, fraud = np.random.default_rng(0), PERIOD.truth.fraud
    labels = tuple("abcde")
    many = [Dimension(f"{i}", labels, rng.integers(0, 5, ROWS), comparable=True) for i in range(9)]
    at = dataclasses.replace(PERIOD, dimensions=many)
    spec = msgspec.structs.replace(SPEC, segment_margin=0.1)
    one, other = scores(1.0, seed=1), scores(1.0, seed=2)
    assert np.count_nonzero(((one >= 0.2) != (other >= 0.2)) & fraud) > 100
    refused = 0
    for _ in range(REPEATS):
        swap = rng.random(ROWS) < 0.5  # of equal models it is chance which of them made which decision
        pair = np.where(swap, one, other), np.where(swap, other, one)
        verdict = judge(decided(pair[0]), decided(pair[1]), at, spec)
        refused += any(name.startswith("segments") for name in failed(verdict))
    assert refused <= (1 - spec.confidence) * REPEATS


def decided(values: np.ndarray) -> Contender:
    """A contender with these decisions for the segments; its figures, slow to compute, are of another model."""
    return dataclasses.replace(
        GOOD, scored=GOOD.scored._replace(decisions=decisions(values, THRESHOLDS, PERIOD.payees, PERIOD.by_rule))
    )


def test_the_frauds_of_a_campaign_are_one_loss() -> None:
    fraud = np.flatnonzero(PERIOD.truth.fraud)
    values, worse = np.where(PERIOD.truth.fraud, 0.9, 0.01), np.where(PERIOD.truth.fraud, 0.9, 0.01)
    worse[fraud[:8]] = 0.01
    whole = Dimension("whole", ("all",), np.zeros(ROWS, np.intp), comparable=True)
    paired = PERIOD.campaign.copy()
    paired[fraud[1::2]] = paired[fraud[::2]][: len(fraud[1::2])]
    spec = msgspec.structs.replace(SPEC, segment_margin=0.01, confidence=0.95)

    def refused(campaign: np.ndarray) -> bool:
        at = dataclasses.replace(PERIOD, dimensions=[whole], campaign=campaign)
        return "segments by whole" in failed(judge(decided(worse), decided(values), at, spec))

    assert refused(PERIOD.campaign)  # eight losses and no gain: chance of 0.4 %
    assert not refused(paired)  # four: 6 %


def test_segments_with_few_frauds_are_not_compared() -> None:
    early = np.cumsum(PERIOD.truth.fraud) <= 20
    rare = Dimension("rare", ("usual", "rare"), early.astype(np.intp), comparable=True)
    values = scores(0.6)
    values[rare.codes == 1] = 0.001
    verdict = judge(model("it", values), GOOD, dataclasses.replace(PERIOD, dimensions=[rare]), SPEC)
    assert "segments by rare" not in failed(verdict)
    few = dataclasses.replace(PERIOD, dimensions=[Dimension("rare", ("all",), rare.codes * 0, comparable=True)])
    strict = msgspec.structs.replace(SPEC, segment_frauds_min=10_000)
    [check] = [one for one in judge(GOOD, POOR, few, strict).checks if one.name == "segments by rare"]
    assert (check.passed, check.measured) == (True, None)


def test_checks_of_probabilities_are_left_out_against_the_rules_alone() -> None:
    verdict = judge(POOR, PERIOD.rules(), PERIOD, SPEC)
    assert verdict.promote
    assert "average precision" not in {check.name for check in verdict.checks}
    random = model("random", np.random.default_rng(3).permutation(scores(0.6)))
    assert {"saving", "better than chance"} <= failed(judge(random, PERIOD.rules(), PERIOD, SPEC))


def test_a_model_far_better_on_the_calibration_period_is_suspicious() -> None:
    high = POOR.intervals["average_precision"].high
    rules = PERIOD.rules()
    usual, steep = (changed_validation(high + SPEC.optimism_max + by) for by in (-0.01, 0.01))
    assert "optimism" not in failed(judge(usual, rules, PERIOD, SPEC))
    assert "optimism" in failed(judge(steep, rules, PERIOD, SPEC))


def changed_validation(value: float) -> Contender:
    return dataclasses.replace(POOR, validation=value)


def test_several_challengers_need_more_confidence() -> None:
    better, same = model("better", scores(0.5)), dataclasses.replace(POOR, name="same")
    verdicts = judge_all([same, GOOD, better], POOR, PERIOD, SPEC)
    assert [verdict.promote for verdict in verdicts] == [False, True, True]
    assert best(verdicts) == 2
    assert best(verdicts[:1] * 2) == 0
    alone = judge(GOOD, POOR, PERIOD, SPEC)
    assert verdicts[1].saving_interval.low < alone.saving_interval.low
    assert verdicts[1].confidence > alone.confidence


def test_few_frauds_are_too_few_to_say_and_refuse_nobody() -> None:
    spec = msgspec.structs.replace(SPEC, frauds_min=10_000)
    for challenger in (GOOD, dataclasses.replace(POOR, name="again")):
        verdict = judge(challenger, POOR, PERIOD, spec)
        assert (verdict.outcome, verdict.promote) == ("TOO_FEW", False)
        assert "too few to say" in verdict.reasons[0]
    worse = judge(POOR, GOOD, PERIOD, spec)
    assert worse.outcome == "REFUSE"


def test_frauds_of_unequal_weight_and_of_both_sides_count_less() -> None:
    def counted(weight: np.ndarray, pix: np.ndarray) -> float:
        sampled = dataclasses.replace(PERIOD.resampling, weight=weight)
        at = dataclasses.replace(PERIOD, resampling=sampled, pix=pix)
        [check] = [one for one in judge(GOOD, POOR, at, SPEC).checks if one.name == "enough frauds"]
        assert check.measured is not None
        return check.measured

    frauds = int(PERIOD.truth.fraud.sum())
    assert counted(np.ones(ROWS), PERIOD.pix) == pytest.approx(frauds)
    assert counted(np.full(ROWS, 7.0), PERIOD.pix) == pytest.approx(frauds)
    assert counted(np.where(np.arange(ROWS) % 2, 1.0, 50.0), PERIOD.pix) < 0.6 * frauds
    pairs = PERIOD.pix.copy()
    of_frauds = np.flatnonzero(PERIOD.truth.fraud)
    pairs[of_frauds[1::2]] = pairs[of_frauds[::2]][: len(of_frauds[1::2])]
    assert counted(np.ones(ROWS), pairs) == pytest.approx(frauds / 2, rel=0.02)


@pytest.mark.parametrize(
    ("slope", "shift", "name"), [(1.0, np.log(10), "expected frauds"), (3.0, 0.0, "calibration slope")]
)
def test_probabilities_ten_times_too_high_or_far_too_extreme_are_refused(
    slope: float, shift: float, name: str
) -> None:
    values = scores(1.0)
    wrong = 1 / (1 + np.exp(-(slope * np.log(values / (1 - values)) + shift)))
    assert name not in failed(judge(POOR, PERIOD.rules(), PERIOD, SPEC))
    told = dataclasses.replace(POOR, scored=POOR.scored._replace(scores=wrong))
    assert name in failed(judge(told, PERIOD.rules(), PERIOD, SPEC))


def test_a_champion_that_stops_nothing_can_be_replaced() -> None:
    silent = PERIOD.contender("silent", scores(1.0), np.zeros(ROWS, np.int8), NAMES, -1.0, 0.6)
    assert judge(GOOD, silent, PERIOD, SPEC).promote


def test_rejects_have_a_ceiling_against_the_rules_alone_as_well() -> None:
    eager = SideThresholds(payer=Thresholds(0.02, 0.02), payee=Thresholds(0.02, 0.02))
    values = scores(1.0)
    at = PERIOD.contender("eager", values, decisions(values, eager, PERIOD.payees, PERIOD.by_rule), NAMES, -1.0, 0.6)
    assert {"good customers rejected, payer"} <= failed(judge(at, PERIOD.rules(), PERIOD, SPEC))
    strict = msgspec.structs.replace(QUICK.costs.payer, reject_share_max=0.9, reject_precision_min=0.99)
    there = dataclasses.replace(PERIOD, costs=SideCosts(strict, strict))
    assert {"precision of rejects, payer"} <= failed(judge(at, PERIOD.rules(), there, SPEC))
    mute = PERIOD.contender("mute", np.zeros(ROWS), np.zeros(ROWS, np.int8), NAMES, -1.0, 0.6)
    checks = judge(mute, POOR, PERIOD, SPEC).checks
    [check] = [one for one in checks if one.name == "precision of rejects, payer"]
    assert (check.passed, check.measured) == (True, None)  # as it rejects nothing
    assert "expected frauds" in {one.name for one in checks if not one.passed}


def test_looks_lower_the_level_of_the_next() -> None:
    end = float(PERIOD.truth.initiated_at.max() / 1e6)
    fresh = judge(GOOD, POOR, PERIOD, SPEC)
    again = judge(GOOD, POOR, PERIOD, SPEC, Past([Look(end, fresh.level)]))
    assert (fresh.looks, again.looks) == (0, 1)
    assert again.level == pytest.approx(fresh.level / 2)
    assert again.saving_interval.low < fresh.saving_interval.low
    assert again.detectable > fresh.detectable
    spent = Past([Look(end, SPEC.false_promotions)])
    assert judge(GOOD, POOR, PERIOD, SPEC, spent).outcome == "REFUSE"  # a level of zero proves nothing


def test_small_losses_of_many_promotions_do_not_add_up() -> None:
    share = float(PERIOD.truth.fraud.mean())
    strong = ChampionRecord("v1", 0.999, share, 0.1)
    weak = dataclasses.replace(POOR, name="it", validation=0.6)
    assert "best on record" in failed(judge(weak, PERIOD.rules(), PERIOD, SPEC, Past(champions=[strong])))
    same = ChampionRecord("v1", POOR.evaluation.average_precision, share, 0.1)
    assert "best on record" not in failed(judge(weak, PERIOD.rules(), PERIOD, SPEC, Past(champions=[same])))
    rarer = ChampionRecord("v1", POOR.evaluation.average_precision, share / 50, 0.1)
    assert "best on record" in failed(judge(weak, PERIOD.rules(), PERIOD, SPEC, Past(champions=[rarer])))


def test_a_refused_champion_is_still_the_one_to_beat() -> None:
    rules = PERIOD.rules()
    own = GOOD.evaluation.cost_per_million / rules.evaluation.cost_per_million

    def past(*records: ChampionRecord) -> Past:
        return Past(champions=records, refused="v1")

    def record(cost_share: float) -> ChampionRecord:
        return ChampionRecord("v1", 0.1, 0.06, cost_share)

    assert judge(GOOD, rules, PERIOD, SPEC, past(record(own + 0.01))).promote
    assert failed(judge(GOOD, rules, PERIOD, SPEC, past(record(own - 0.01)))) == {"refused champion"}
    assert failed(judge(GOOD, rules, PERIOD, SPEC, past())) == {"refused champion"}
