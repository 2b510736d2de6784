"""Put challengers and incumbent side by side: verdicts, figures, segments, fairness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from shared.learning.config import GateSpec
from shared.learning.judging.bootstrap import Estimate, estimate
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.evaluate import saving
from shared.learning.judging.gate import GateVerdict, best, judge_all
from shared.learning.judging.segments import Disparity, Segment, disparities, segments
from shared.scoring.bundle import Bundle

_EXPLAINED = 200  # frauds whose scores are taken apart
_FEATURES = 15


@dataclass(frozen=True, slots=True)
class Review:
    """What came of a comparison.

    `verdicts` are on each challenger in the order given, `chosen` the index of the one to go on with, `challenger`
    and `verdict` those of it. `savings` are per million Pix against incumbent and rules alone, by name. `segments`
    are what the challenger did, `incumbent_segments` the same segments of the incumbent.
    """

    chosen: int
    verdicts: list[GateVerdict]
    challenger: Contender
    incumbent: Contender
    rules: Contender
    savings: dict[str, Estimate]
    segments: list[Segment]
    incumbent_segments: list[Segment]
    disparities: list[Disparity]

    @property
    def verdict(self) -> GateVerdict:
        """The verdict on the challenger to go on with."""
        return self.verdicts[self.chosen]

    def contenders(self) -> list[Contender]:
        """Return challenger, incumbent and rules, each once."""
        return [self.challenger, *([self.incumbent] if self.incumbent.is_model else []), self.rules]

    def metrics(self) -> dict[str, float]:
        """Return the figures of the challenger with the ends of their intervals, its saving, and the rules' cost.

        What is not defined, as the precision of a model that stops nothing, is left out.
        """
        figures = flat(self.challenger)
        for name, interval in self.challenger.intervals.items():
            figures |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        interval = self.verdict.saving_interval
        figures |= {
            "saving_per_million": self.verdict.saving,
            "saving_per_million_low": interval.low,
            "saving_per_million_high": interval.high,
            "rules_cost_per_million": self.rules.evaluation.cost_per_million,
        }
        return _defined(figures)


def flat(contender: Contender) -> dict[str, float]:
    """Return a contender's figures by name, as far as they are defined."""
    return _defined({name: float(value) for name, value in msgspec.structs.asdict(contender.evaluation).items()})


def _defined(figures: dict[str, float]) -> dict[str, float]:
    """Return the finite figures: JSON, in which a manifest holds them, has no other numbers."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def review(
    period: TestPeriod, bundles: Sequence[tuple[Bundle, float]], champion: Bundle | None, spec: GateSpec
) -> Review:
    """Judge challengers, each with its average precision on the calibration period, against what serves."""
    rules = period.rules()
    incumbent = period.model(champion) if champion else rules
    contenders = [period.model(bundle, validation) for bundle, validation in bundles]
    verdicts = judge_all(contenders, incumbent, period, spec)
    chosen = best(verdicts)
    challenger = contenders[chosen]
    return Review(
        chosen,
        verdicts,
        challenger,
        incumbent,
        rules,
        {one.name: _saving(one, challenger, period) for one in (incumbent, rules)},
        _segments(challenger, period),
        _segments(incumbent, period),
        _disparities(challenger, period, spec),
    )


def importance(bundle: Bundle, period: TestPeriod) -> list[tuple[str, float]]:
    """Return, largest first, how much of the score of a fraud each feature carries, as explanations take it apart.

    The mean over frauds of the period, evenly taken in time.
    """
    frauds = np.flatnonzero(period.truth.fraud)
    taken = frauds[np.unique(np.linspace(0, len(frauds) - 1, min(_EXPLAINED, len(frauds))).astype(np.intp))]
    total: dict[str, float] = {}
    for vector in period.features[taken]:
        for name, fall in bundle.occlusion(vector):
            total[name] = total.get(name, 0.0) + fall / len(taken)
    return sorted(total.items(), key=lambda item: -item[1])[:_FEATURES]


def _saving(dearer: Contender, cheaper: Contender, period: TestPeriod) -> Estimate:
    return estimate(saving(dearer.scored.costs, cheaper.scored.costs, period.resampling), period.confidence)


def _segments(contender: Contender, period: TestPeriod) -> list[Segment]:
    truth, decided = period.truth, contender.scored.decisions
    return [
        one
        for dimension in period.dimensions
        for one in segments(dimension, decided, truth.fraud, truth.amount, period.weight, period.confidence)
    ]


def _disparities(contender: Contender, period: TestPeriod, spec: GateSpec) -> list[Disparity]:
    truth, decided = period.truth, contender.scored.decisions
    return [
        one
        for dimension in period.dimensions
        for one in disparities(
            dimension, decided, truth.fraud, period.weight, period.confidence, spec.segment_frauds_min
        )
    ]
