"""Runs of daily looks at a challenger of known worth: is one promoted that saves nothing, and how soon another?"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.contest.paired import ACCOUNTS, Differing, paired_saving
from shared.learning.contest.verdict import ContestEvidence, Outcome, judge
from shared.learning.judging.saving import Saving
from shared.learning.specs.gate import CostSpec, SideCosts
from shared.scoring.thresholds import Thresholds
from tests.benchmarks.gate_worlds.world import Stream, World, cost_per_million, with_staff

PREVALENCE = 1e-3
"""Share of frauds."""
CHAMPION = 2.5
"""Quality of the champion, as in `bench-gate` (see `World.scores`)."""
ROWS_A_DAY = 200
"""Rows that stand for the legitimate Pix of a day; fewer are noisier than a real day, which is to the safe side."""


class Player(NamedTuple):
    """A model: its quality, its thresholds, and its true cost in BRL per million Pix."""

    quality: float
    thresholds: Thresholds
    cost: float


class Ended(NamedTuple):
    """A run: the outcome of its last look, and the days with labels by then, or 0 if nothing ended it."""

    outcome: Outcome
    day: int


def player(quality: float, spec: CostSpec) -> Player:
    """Return a model of a quality with the thresholds that the product chooses for it."""
    policy = World(PREVALENCE).policy(quality, spec, np.random.default_rng(0))
    return Player(quality, *policy)


@functools.cache
def lenient(spec: CostSpec) -> Player:
    """Return a model that costs what the champion costs, stops less, and ranks better.

    It saves on many reviews, and loses rare large frauds: the kind that looks cheap until one of them comes.
    """
    better, target = cheaper_by(0.1, spec), player(CHAMPION, spec).cost
    world = World(PREVALENCE)
    large = world.stream(np.random.default_rng(0), 8_000, 60_000, 36)
    scores = world.scores(large, better.quality, np.random.default_rng(1))
    low, high = 0.0, 5.0
    for _ in range(20):
        step = (low + high) / 2
        raised = Thresholds(*(min(each * math.exp(step), 1.0) for each in msgspec.structs.astuple(better.thresholds)))
        cost = cost_per_million(large, raised.reached(scores), with_staff(spec))
        low, high = (step, high) if cost < target else (low, step)
    return Player(better.quality, raised, cost)


@functools.cache
def cheaper_by(share: float, spec: CostSpec) -> Player:
    """Return the model that truly costs `share` less than the champion, to a thousandth, by bisection."""
    low, high = CHAMPION, CHAMPION + 1.5
    target = (1 - share) * player(CHAMPION, spec).cost
    for _ in range(12):
        middle = player((low + high) / 2, spec)
        if abs(middle.cost / target - 1) < 1e-3:
            break
        low, high = (middle.quality, high) if middle.cost > target else (low, middle.quality)
    return middle


def run(challenger: Player, champion: Player, frauds_a_day: int, looks: int, config: Config, seed: int) -> Ended:
    """Look at a challenger after each of `looks` days with labels, until a verdict ends it."""
    rng = np.random.default_rng([seed, frauds_a_day, round(challenger.quality * 1e6)])
    world = World(PREVALENCE)
    stream = world.stream(rng, frauds_a_day * looks, ROWS_A_DAY * looks, looks)
    rows = differing(stream, world, challenger, champion, rng)
    day = stream.day.astype(np.intp)
    pix = np.bincount(day, stream.weight, looks).astype(np.float64)
    frauds = np.bincount(day[stream.fraud], minlength=looks)
    staffed = with_staff(config.costs.payer)
    costs = SideCosts(staffed, staffed)
    for days in range(1, looks + 1):
        known = rows.take(rows.day < days)
        found = evidence(known, pix[:days], float(frauds[:days].sum()), costs)
        verdict = judge(found, config.contest, config.gate)
        if verdict.outcome in ("BETTER", "WORSE"):
            return Ended(verdict.outcome, days)
    return Ended(verdict.outcome, 0)


def evidence(known: Differing, pix: NDArray[np.float64], frauds: float, costs: SideCosts) -> ContestEvidence:
    """Return the evidence of all labels."""
    saving: Saving | None = paired_saving(known, pix, costs) if known.fraud.any() else None
    return ContestEvidence(len(pix), frauds, float(known.fraud.sum()), saving)


def differing(
    stream: Stream, world: World, challenger: Player, champion: Player, rng: np.random.Generator
) -> Differing:
    """Return the rows on which both decide differently; each model has noise of its own."""
    new, old = (world.scores(stream, one.quality, rng) for one in (challenger, champion))
    by_new, by_old = challenger.thresholds.reached(new), champion.thresholds.reached(old)
    rows = np.flatnonzero(by_new != by_old)
    return Differing(
        stream.day[rows].astype(np.intp),
        stream.campaign[rows] % ACCOUNTS,
        np.zeros(len(rows), bool),
        stream.amount[rows],
        old[rows],
        new[rows],
        by_old[rows],
        by_new[rows],
        stream.fraud[rows],
        stream.weight[rows],
    )
