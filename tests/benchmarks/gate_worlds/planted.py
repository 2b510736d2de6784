"""Challengers whose worth is known, judged by the gate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config, CostSpec, SideCosts
from shared.learning.data.split import DAY
from shared.learning.judging.bootstrap import Resampling
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.evaluate import Truth
from shared.learning.judging.gate import GateVerdict, judge_all
from shared.learning.judging.segments import Dimension
from shared.learning.training.costs import decision_costs_by_side
from shared.scoring.thresholds import OFF, Thresholds
from tests.benchmarks.gate_worlds.world import Policy, Stream, World, with_staff

Kind = Literal["better", "equal", "worse", "dearer", "shuffled", "poisoned prior", "too few", "stops nothing"]
KINDS: tuple[Kind, ...] = (
    "better",
    "stops nothing",
    "equal",
    "worse",
    "dearer",
    "shuffled",
    "poisoned prior",
    "too few",
)
"""`stops nothing` has a better challenger against a champion that stops nothing, `dearer` the champion's own scores
with a higher hold threshold, `too few` a better challenger on some twenty frauds, `poisoned prior` a better ranking
with probabilities ten times too high. All others are in relation to the champion's quality."""
WORTH_PROMOTING = ("better", "stops nothing")
NAMES = ("amount", "hour", "weekday")
DAYS, FEW = 36, 20
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
    """A verdict on a planted challenger, and whether it is right."""

    kind: Kind
    setting: Setting
    seed: int
    verdict: GateVerdict
    right: bool


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
    stream = world.stream(rng, FEW if kind == "too few" else setting.frauds, ROWS, DAYS)
    order = np.argsort(stream.day, kind="stable")
    stream = stream.at(order)
    period = period_of(stream, config, rng)
    scores = world.scores(stream, setting.champion, rng)
    limits = known.champion.thresholds
    champion = model("champion", scores, Thresholds(OFF, OFF) if kind == "stops nothing" else limits, period)
    equal = model("equal", world.scores(stream, setting.champion, rng), limits, period)
    planted = model(kind, *_planted(kind, stream, scores, setting, known, rng), period)
    verdict = judge_all([planted, equal], champion, period, config.gate)[0]
    wanted = {"too few": "TOO_FEW"}.get(kind, "PROMOTE" if kind in WORTH_PROMOTING else "REFUSE")
    return Planted(kind, setting, seed, verdict, verdict.outcome == wanted)


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
    return world.scores(stream, setting.better, rng), known.better.thresholds


def period_of(stream: Stream, config: Config, rng: np.random.Generator) -> TestPeriod:
    """Return a stream in order of time as a test period of features that tell nothing, with two segments."""
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
    )


def model(name: str, scores: NDArray[np.float64], thresholds: Thresholds, period: TestPeriod) -> Contender:
    """Return a model that has seen nothing of the period and ranked as well before it."""
    found = period.contender(name, scores, thresholds.reached(scores), NAMES, seen_until=-1.0)
    return dataclasses.replace(found, validation=found.evaluation.average_precision)
