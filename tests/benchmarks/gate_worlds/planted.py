"""Challengers whose worth is known, judged by the gate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.data.split import DAY
from shared.learning.judging.bootstrap import Resampling
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.evaluate import Truth
from shared.learning.judging.gate import GateVerdict, judge_all
from shared.learning.judging.segments import Dimension
from shared.learning.judging.stakes import Opinion, UnjudgedRows
from shared.learning.judging.suspicion import Strengths, strengths, suspicions
from shared.learning.specs.gate import CostSpec, SideCosts
from shared.learning.training.costs import decision_costs_by_side
from shared.scoring.thresholds import OFF, Thresholds
from tests.benchmarks.gate_worlds.world import Policy, Stream, World, with_staff

Kind = Literal[
    "better",
    "stops nothing",
    "equal",
    "worse",
    "dearer",
    "shuffled",
    "poisoned prior",
    "too few",
    "blinded",
    "blinded, control group",
    "better, control group",
    "leaked, 50 %",
    "leaked, 80 %",
    "leaked, 95 %",
    "leaked over three",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""`stops nothing` has a better challenger against a champion that stops nothing, `dearer` the champion's own scores
with a higher hold threshold, `too few` a better challenger on some twenty frauds, `poisoned prior` a better ranking
with probabilities ten times too high. `blinded` ranks better, and lets pass all that the champion rejects: of these
Pix it learnt nothing, and without a control group no label of theirs is left. `leaked` has features that were written
with knowledge of the outcome: one that tells a share of the frauds, or three that tell a third each. All others are
in relation to the champion's quality."""
WORTH_PROMOTING = ("better", "stops nothing", "better, control group")
BLINDED = ("blinded", "blinded, control group")
CONTROLLED = {"blinded": 0.0, "blinded, control group": 0.1, "better, control group": 0.1}
"""Chance by which a Pix that the champion rejects is held for review instead, where rejects leave no label."""
LEAKS: Mapping[Kind, tuple[float, ...]] = {
    "leaked, 50 %": (0.5,),
    "leaked, 80 %": (0.8,),
    "leaked, 95 %": (0.95,),
    "leaked over three": (0.34, 0.33, 0.33),
}
"""Shares of the frauds that each of some features reveals."""
_REVEALED, _SURE = 9.0, 0.999  # value of a feature, and score, of a fraud that is revealed
NAMES = ("amount", "hour", "weekday")
DAYS, FEW = 36, 20
MANY = 4
"""Times the frauds of a setting where most of them leave no label: those of the control group tell as much as few."""
ROWS = 40_000


class Setting(NamedTuple):
    """A prevalence, the frauds of a test period, and the qualities of champion, better and worse challenger."""

    prevalence: float
    frauds: int
    champion: float
    better: float
    worse: float


SETTINGS = (Setting(1e-3, 200, 2.5, 2.87, 2.2), Setting(7e-5, 200, 3.3, 3.68, 3.0))


class Policies(NamedTuple):
    """The policies of a setting: of champion, of better and worse challenger, and of one with a poisoned prior."""

    champion: Policy
    better: Policy
    worse: Policy
    poisoned: Policy


class Planted(NamedTuple):
    """A verdict on a planted challenger, suspicions for a person to look at, and whether the outcome is right."""

    kind: Kind
    setting: Setting
    seed: int
    verdict: GateVerdict
    suspicions: list[str]
    right: bool

    @property
    def promoted(self) -> bool:
        """Whether it serves without a person's look."""
        return self.verdict.promote and not self.suspicions


def poisoned(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores whose odds are ten times too high, as after training on a prior that is."""
    return np.asarray(10 * scores / (1 + 9 * scores))


@functools.cache
def policies(setting: Setting, spec: CostSpec) -> Policies:
    """Return the thresholds of all models of a setting."""
    world = World(setting.prevalence)

    def of(
        quality: float, distort: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda scores: scores
    ) -> Policy:
        return world.policy(quality, spec, np.random.default_rng(0), distort)

    return Policies(of(setting.champion), of(setting.better), of(setting.worse), of(setting.better, poisoned))


def judged(kind: Kind, setting: Setting, seed: int, config: Config) -> Planted:
    """Judge a planted challenger beside one that equals the champion, as a run has two."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    world, known = World(setting.prevalence), policies(setting, config.costs.payer)
    frauds = FEW if kind == "too few" else setting.frauds * (MANY if kind in CONTROLLED else 1)
    stream = world.stream(rng, frauds, ROWS, DAYS)
    order = np.argsort(stream.day, kind="stable")
    stream = stream.at(order)
    scores = world.scores(stream, setting.champion, rng)
    limits = known.champion.thresholds
    equals = world.scores(stream, setting.champion, rng), limits
    served = scores, Thresholds(OFF, OFF) if kind == "stops nothing" else limits
    third = _planted(kind, stream, scores, setting, known, rng)
    told = _told(kind, stream.fraud, rng)
    third = np.where(told >= 0, _SURE, third[0]), third[1]
    policies_of = (("champion", served), ("equal", equals), (f"planted, {kind}", third))
    lost = np.zeros(len(scores), bool)
    if kind in CONTROLLED:
        rejected = scores >= limits.reject
        lost = rejected & (rng.random(len(scores)) >= CONTROLLED[kind])
        stream = stream._replace(weight=stream.weight / np.where(rejected & ~lost, CONTROLLED[kind], 1.0))
    period = period_of(stream.at(~lost), config, rng, stream.at(lost if kind == "blinded" else np.zeros(0, np.intp)))
    champion, equal, planted = (model(name, *of, period, lost) for name, of in policies_of)
    verdict = judge_all([planted, equal], champion, period, config.gate)[0]
    suspected = _suspicions(period, told[~lost], config)
    cannot_say = kind in ("too few", "blinded")
    wanted = "TOO_FEW" if cannot_say else "PROMOTE" if kind in (*WORTH_PROMOTING, *LEAKS) else "REFUSE"
    right = verdict.outcome == wanted and bool(suspected) == (kind in LEAKS)
    return Planted(kind, setting, seed, verdict, suspected, right)


def _told(kind: Kind, fraud: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the feature that reveals each fraud, [n], -1 for a Pix that none reveals."""
    if kind not in LEAKS:
        return np.full(len(fraud), -1)
    feature = np.searchsorted(np.cumsum(LEAKS[kind]), rng.random(len(fraud)), side="right")
    return np.where(fraud & (feature < len(LEAKS[kind])), feature, -1)


def _suspicions(period: TestPeriod, told: NDArray[np.intp], config: Config) -> list[str]:
    """Return the suspicions where features reveal frauds that they did not when the champion was judged."""

    def found(features: NDArray[np.float32]) -> Strengths:
        return strengths(features, NAMES, NAMES, period.truth.fraud, [])

    leaked = np.where(told[:, None] == np.arange(len(NAMES)), np.float32(_REVEALED), period.features)
    return suspicions(found(leaked), found(period.features), config.suspicion)


def _planted(
    kind: Kind,
    stream: Stream,
    champion: NDArray[np.float64],
    setting: Setting,
    known: Policies,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], Thresholds]:
    """Return the scores and thresholds of a planted challenger."""
    world, limits = World(setting.prevalence), known.champion.thresholds
    if kind == "dearer":
        return champion, Thresholds(min(limits.hold * 3, limits.reject), limits.reject)
    if kind == "worse":
        return world.scores(stream, setting.worse, rng), known.worse.thresholds
    if kind == "equal":
        return world.scores(stream, setting.champion, rng), limits
    if kind == "shuffled":
        return rng.permutation(champion), limits
    if kind == "poisoned prior":
        return poisoned(world.scores(stream, setting.better, rng)), known.poisoned.thresholds
    better = world.scores(stream, setting.better, rng)
    if kind in BLINDED:
        careful = Thresholds(known.better.thresholds.hold, min(2 * known.better.thresholds.reject, 1.0))
        return np.where(champion >= limits.reject, better * 1e-3, better), careful
    return better, known.better.thresholds


def period_of(stream: Stream, config: Config, rng: np.random.Generator, lost: Stream) -> TestPeriod:
    """Return a stream in order of time as a test period of features that tell nothing, with two segments.

    `lost` are the Pix without a label.
    """
    rows = len(stream.fraud)
    at = (stream.day * DAY).astype(np.int64)
    payees = np.zeros(rows, bool)
    staffed = with_staff(config.costs.payer)
    costs = SideCosts(staffed, staffed)
    return TestPeriod(
        rng.normal(size=(rows, len(NAMES))).astype(np.float32),
        NAMES,
        Truth(stream.fraud, stream.amount, at),
        Resampling.of(at, stream.weight, 100, 0),
        np.arange(rows, dtype=np.int32),
        stream.campaign,
        payees,
        np.zeros(rows, np.int8),
        decision_costs_by_side(stream.fraud, stream.amount, payees, costs),
        costs,
        [Dimension("half", ("one", "other"), rng.integers(0, 2, rows), comparable=True)],
        config.alert_share,
        config.gate.confidence,
        config.costs.payer.review_share_max * float(stream.weight.sum()),
        notice="",
        unjudged=_unjudged(lost),
    )


def _unjudged(lost: Stream) -> UnjudgedRows:
    rows = len(lost.amount)
    none = np.zeros(rows, np.int8)
    features, served = np.zeros((rows, len(NAMES)), np.float32), np.full(rows, np.nan)
    at = (lost.day * DAY).astype(np.int64)
    return UnjudgedRows(features, at, lost.amount, served, lost.weight, none.astype(bool), none)


def model(
    name: str,
    scores: NDArray[np.float64],
    thresholds: Thresholds,
    period: TestPeriod,
    lost: NDArray[np.bool_],
) -> Contender:
    """Return a model that has seen nothing of the period and ranked as well before it.

    `scores` are of all Pix, of which those that are `lost` have no label and those of the period have one.
    """
    known, decided = scores[~lost], thresholds.reached(scores)
    there = np.flatnonzero(lost)[: len(period.unjudged.amount) if period.unjudged else 0]
    opinion = Opinion(scores[there], decided[there])
    found = period.contender(name, known, decided[~lost], NAMES, seen_until=-1.0, opinion=opinion)
    return dataclasses.replace(found, validation=found.evaluation.average_precision)
