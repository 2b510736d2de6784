"""Review challengers against the incumbent: verdicts, figures, segments, fairness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from shared.learning.judging.bootstrap import Estimate
from shared.learning.judging.ceilings import Rejects, rejects_by_side
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.gate import ENOUGH_FRAUDS, GateVerdict, best, judge_all
from shared.learning.judging.looks import Look
from shared.learning.judging.record import NO_PAST, Past
from shared.learning.judging.saving import measure_saving
from shared.learning.judging.segments import Disparity, Segment, disparities, segments
from shared.learning.specs.gate import GateSpec
from shared.scoring.bundle import Bundle
from shared.scoring.explanation import falls

LOOK_UNTIL, LOOK_LEVEL = "look_until", "look_level"
"""Metrics of a bundle by which the ledger keeps the look of its run: see `looks.Look`."""
_EXPLAINED = 200  # frauds whose scores are explained
_FEATURES = 15  # shown


@dataclass(frozen=True, slots=True)
class Review:
    """The result of comparing the challengers of a run with the incumbent.

    `verdicts` are on each challenger in the order given; `chosen` is the index of the best one, which `challenger`
    and `verdict` refer to. `look` is the test that the run has taken, which the ledger keeps. `savings` are the
    realised ones in BRL per million Pix over incumbent and rules alone, by name. `segments` are those of the
    challenger, `incumbent_segments` the same ones of the incumbent; `rejects` are those of the challenger, by side.
    """

    chosen: int
    verdicts: list[GateVerdict]
    challenger: Contender
    incumbent: Contender
    rules: Contender
    look: Look
    savings: dict[str, Estimate]
    segments: list[Segment]
    incumbent_segments: list[Segment]
    disparities: list[Disparity]
    rejects: list[Rejects]

    @property
    def verdict(self) -> GateVerdict:
        """The verdict on the chosen challenger."""
        return self.verdicts[self.chosen]

    def contenders(self) -> list[Contender]:
        """Return challenger, incumbent and rules, each once."""
        return [self.challenger, *([self.incumbent] if self.incumbent.is_model else []), self.rules]

    def metrics(self) -> dict[str, float]:
        """Return the figures of the challenger with the ends of their intervals, its saving, and the rules' cost.

        Undefined figures, such as the precision of a model that stops nothing, are left out.
        """
        figures = flat(self.challenger)
        for name, interval in self.challenger.intervals.items():
            figures |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        interval = self.verdict.saving_interval
        figures |= {
            "saving_per_million": self.verdict.saving,
            "saving_per_million_low": interval.low,
            "saving_per_million_high": interval.high,
            "realised_saving_per_million": self.verdict.realised,
            "detectable_saving_per_million": self.verdict.detectable,
            LOOK_UNTIL: self.look.until,
            LOOK_LEVEL: self.look.level,
            "rules_cost_per_million": self.rules.evaluation.cost_per_million,
        }
        figures |= self.verdict.stakes.metrics() if self.verdict.stakes else {}
        if overall := self.verdict.overall:
            figures |= {
                "overall_saving_per_million": overall.value,
                "overall_saving_per_million_low": overall.interval.low,
                "overall_saving_per_million_high": overall.interval.high,
            }
        return _defined(figures)


def flat(contender: Contender) -> dict[str, float]:
    """Return the defined figures of a contender by name."""
    return _defined({name: float(value) for name, value in msgspec.structs.asdict(contender.evaluation).items()})


def _defined(figures: dict[str, float]) -> dict[str, float]:
    """Return the finite figures: a manifest is JSON, which has no other numbers."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def review(
    period: TestPeriod,
    bundles: Sequence[tuple[Bundle, float]],
    champion: Bundle | None,
    spec: GateSpec,
    past: Past = NO_PAST,
) -> Review:
    """Judge challengers, each with its average precision on the calibration period, against the champion.

    Without a champion the rules alone are the incumbent, beside the record of one whose bundle is refused.
    """
    rules = period.rules()
    incumbent = period.model(champion) if champion else rules
    contenders = [period.model(bundle, validation) for bundle, validation in bundles]
    verdicts = judge_all(contenders, incumbent, period, spec, past)
    chosen = best(verdicts)
    challenger = contenders[chosen]
    return Review(
        chosen,
        verdicts,
        challenger,
        incumbent,
        rules,
        _look(verdicts, period),
        {one.name: _saving(one, challenger, period) for one in (incumbent, rules)},
        _segments(challenger, period),
        _segments(incumbent, period),
        _disparities(challenger, period, spec),
        rejects_by_side(challenger.scored.decisions, period),
    )


def _look(verdicts: Sequence[GateVerdict], period: TestPeriod) -> Look:
    """Return the look of a run. Where the frauds are too few to say, nothing is tested and nothing spent."""
    tested = all(check.passed for check in verdicts[0].checks if check.name == ENOUGH_FRAUDS)
    level = sum(one.level for one in verdicts) if tested else 0.0
    return Look(float(period.truth.initiated_at.max() / 1e6), level)


def importance(bundle: Bundle, period: TestPeriod) -> list[tuple[str, float]]:
    """Return the mean share of each feature in the raw score of a fraud, by occlusion, largest first.

    The mean is over frauds spaced evenly over the period.
    """
    frauds = np.flatnonzero(period.truth.fraud)
    sampled = frauds[np.unique(np.linspace(0, len(frauds) - 1, min(_EXPLAINED, len(frauds))).astype(np.intp))]
    alone = [np.array([index]) for index in range(len(bundle.feature_names))]
    inputs = bundle.inputs(period.features[sampled])
    shares = np.mean([falls(one[np.newaxis], bundle.raw, bundle.baseline, alone)[0] for one in inputs], axis=0)
    total = zip(bundle.feature_names, shares.tolist(), strict=True)
    return sorted(total, key=lambda item: -item[1])[:_FEATURES]


def _saving(dearer: Contender, cheaper: Contender, period: TestPeriod) -> Estimate:
    found = measure_saving(cheaper, dearer, period).realised
    return Estimate(found.value, found.interval(period.confidence))


def _segments(contender: Contender, period: TestPeriod) -> list[Segment]:
    truth, decided = period.truth, contender.scored.decisions
    return [
        one
        for dimension in period.dimensions
        for one in segments(
            dimension, decided, truth.fraud, truth.amount, period.weight, period.pix, period.confidence
        )
    ]


def _disparities(contender: Contender, period: TestPeriod, spec: GateSpec) -> list[Disparity]:
    truth, decided = period.truth, contender.scored.decisions
    return [
        one
        for dimension in period.dimensions
        for one in disparities(
            dimension, decided, truth.fraud, period.weight, period.pix, period.confidence, spec.segment_frauds_min
        )
    ]
