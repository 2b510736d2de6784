"""A world of scores with known truth: binormal, with log-normal amounts and campaigns of four frauds.

The score of a Pix is the exact log-odds of fraud by its amount and one normal signal, whose mean is 0 for legitimate
Pix and `quality` for frauds. Signals of two models are alike (correlation .8). Frauds come in campaigns, which share
a day, part of the signal and part of the amount. Legitimate Pix are drawn more often where signals are high, near the
thresholds, and weighted accordingly, so that some thousand rows tell as much as a period of millions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from shared.learning.data.split import DAY
from shared.learning.specs.gate import CostSpec
from shared.learning.training.costs import decision_costs
from shared.learning.training.thresholds import ThresholdRows, choose_thresholds
from shared.scoring.thresholds import Thresholds

ALIKE, CAMPAIGN, WITHIN = 0.8, 4, 0.5  # correlation of two models' signals; frauds of a campaign; theirs of signals
LEGITIMATE_LOG, FRAUD_LOG, SPREAD_LOG = 5.0, 6.0, 1.3  # of the logarithm of amounts in BRL
TAIL_SHARE, TAIL_SPREAD = 0.8, 1.0  # of the proposal that draws legitimate Pix with high signals


class Stream(NamedTuple):
    """Pix in any order: truth, `common` part of the signals, amount, weight, time in days, campaign; all [n]."""

    fraud: NDArray[np.bool_]
    common: NDArray[np.float64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    day: NDArray[np.float64]
    campaign: NDArray[np.intp]

    def at(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Stream:
        """Return some of the rows, by a mask or by their indexes."""
        return Stream._make(column[rows] for column in self)


class World(NamedTuple):
    """The share of frauds."""

    prevalence: float

    def stream(self, rng: np.random.Generator, frauds: int, rows: int, days: float) -> Stream:
        """Return a stream with `frauds`, whose legitimate Pix are represented by `rows`."""
        total = frauds / self.prevalence - frauds
        tail = float(norm.isf(5 * self.prevalence))
        in_tail = rng.random(rows) < TAIL_SHARE
        common = np.where(in_tail, rng.normal(tail, TAIL_SPREAD, rows), rng.normal(size=rows))
        drawn = TAIL_SHARE * norm.pdf(common, tail, TAIL_SPREAD) + (1 - TAIL_SHARE) * norm.pdf(common)
        weight = norm.pdf(common) / drawn
        group = rng.integers(0, max(frauds // CAMPAIGN, 1), frauds)
        count = group.max(initial=0) + 1

        def alike(share: float) -> NDArray[np.float64]:
            """Return standard normal values of frauds, with this correlation within campaigns."""
            own = rng.normal(size=frauds)
            return np.asarray(math.sqrt(share) * rng.normal(size=count)[group] + math.sqrt(1 - share) * own)

        starts = rng.uniform(0, days, count)[group] + rng.uniform(0, 1, frauds)
        logs = np.concatenate([rng.normal(LEGITIMATE_LOG, SPREAD_LOG, rows), FRAUD_LOG + SPREAD_LOG * alike(0.3)])
        return Stream(
            np.arange(rows + frauds) >= rows,
            np.concatenate([common, alike(WITHIN)]),
            np.exp(logs),
            np.concatenate([weight * total / weight.sum(), np.ones(frauds)]),
            np.concatenate([rng.uniform(0, days, rows), np.minimum(starts, days - 1e-6)]),
            np.concatenate([np.arange(rows) + count, group]).astype(np.intp),
        )

    def scores(self, stream: Stream, quality: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the calibrated scores of a model of this quality, with noise of its own."""
        own = rng.normal(size=len(stream.fraud))
        signal = math.sqrt(ALIKE) * stream.common + math.sqrt(1 - ALIKE) * own + quality * stream.fraud
        middle = (LEGITIMATE_LOG + FRAUD_LOG) / 2
        by_amount = (np.log(stream.amount) - middle) * (FRAUD_LOG - LEGITIMATE_LOG) / SPREAD_LOG**2
        odds = quality * signal - quality**2 / 2 + by_amount + math.log(self.prevalence / (1 - self.prevalence))
        return np.asarray(1 / (1 + np.exp(-odds)))

    def policy(
        self,
        quality: float,
        spec: CostSpec,
        rng: np.random.Generator,
        distort: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda scores: scores,
    ) -> Policy:
        """Return the thresholds that the product chooses on a long period, and their true cost.

        The scores seen are `distort` of the true ones; the frauds of the period are many and weighted.
        """
        large = self.stream(rng, 8_000, 60_000, 36)
        scores = distort(self.scores(large, quality, rng))
        ones = np.zeros(len(scores))
        at = (large.day * DAY).astype(np.int64)
        roomy = with_staff(spec)
        rows = ThresholdRows(
            scores, large.fraud, large.amount, at, large.weight, ones.astype(np.int8), ones.astype(bool)
        )
        thresholds = choose_thresholds(rows, roomy)
        return Policy(thresholds, cost_per_million(large, thresholds.reached(scores), roomy))


class Policy(NamedTuple):
    """Thresholds, and what they truly cost in BRL per million Pix."""

    thresholds: Thresholds
    cost: float


def cost_per_million(stream: Stream, decided: NDArray[np.int8], spec: CostSpec) -> float:
    """Return the cost of decisions [n] in BRL per million Pix."""
    table = decision_costs(stream.fraud, stream.amount, spec)
    return float(np.average(table[np.arange(len(decided)), decided], weights=stream.weight) * 1e6)


def with_staff(spec: CostSpec) -> CostSpec:
    """Return costs with reviewers for any number of Pix, as the period here is larger than real."""
    return msgspec.structs.replace(spec, reviews_per_day_max=1e12)
