"""Measure the saving of a challenger over the incumbent, as it came and as was to be expected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.pooled import fit_odds, pooled_design
from shared.learning.judging.proportions import changes, effective_cases
from shared.learning.judging.spread import Measured, measured
from shared.learning.judging.stakes import MILLION, saved_by_truth
from shared.scoring.rules import Decision


class Saving(Struct, frozen=True):
    """The saving of a challenger in BRL per million Pix, by labels and by probabilities, and who stops which frauds.

    `realised` is the difference of the costs by the labels of the period. `expected` has probability times amount in
    place of the labels: that of the pooled odds of both contenders, so that neither profits from its own optimism.
    `gained` and `lost` are the campaigns with a fraud that only the challenger, or only the incumbent, stops, as if
    all had equal weight.
    """

    realised: Measured
    expected: Measured
    gained: float
    lost: float


class Rows(NamedTuple):
    """The rows of a comparison, each [n]; `saved` [n, 2] is the saving in BRL on a legitimate Pix and on a fraud."""

    fraud: NDArray[np.bool_]
    weight: NDArray[np.float64]
    saved: NDArray[np.float64]
    block: NDArray[np.intp]
    campaign: NDArray[np.intp]


def measure_saving(challenger: Contender, incumbent: Contender, period: TestPeriod) -> Saving:
    """Return the saving of `challenger` over `incumbent` on a period."""
    truth = period.truth
    decided = challenger.scored.decisions, incumbent.scored.decisions
    saved = saved_by_truth(*decided, truth.amount, period.payees, period.costs)
    rows = Rows(truth.fraud, period.weight, saved, period.resampling.block, period.campaign)
    scores = incumbent.scored.scores if incumbent.is_model else None
    design = pooled_design(challenger.scored.scores, scores, period.by_rule, truth.amount, truth.fraud)
    new, old = (one[truth.fraud] != Decision.APPROVE for one in decided)
    change, weight = new.astype(np.float64) - old, period.weight[truth.fraud]
    gained, lost = discordant(change, weight, period.campaign[truth.fraud])
    return Saving(realised_saving(rows), expected_saving(rows, design), gained, lost)


def realised_saving(rows: Rows) -> Measured:
    """Return the saving by the labels, in BRL per million Pix."""
    by_row = rows.weight * np.where(rows.fraud, rows.saved[:, 1], rows.saved[:, 0])
    return _per_million(by_row, np.zeros(len(by_row)), rows)


def expected_saving(rows: Rows, design: NDArray[np.float64]) -> Measured:
    """Return the saving by the pooled probabilities of fraud, in BRL per million Pix.

    The realised saving hangs on the amounts of the few frauds that only one contender stops. Its expectation given
    scores, amounts and decisions has the same mean and less variance (Rao and Blackwell), as every Pix near the
    thresholds counts by its probability, not only those that happened to be frauds. The probabilities are fitted to
    the same labels, and this is part of the error: a fraud counts by what it says about Pix with such scores.
    Source: Casella and Berger, Statistical Inference, 2002, 7.3.3; Newey and McFadden, Large Sample Estimation, 1994.
    """
    odds = fit_odds(design, rows.fraud, rows.weight)
    p, effect = odds.probability, rows.saved[:, 1] - rows.saved[:, 0]
    by_row = rows.weight * (rows.saved[:, 0] + p * effect)
    learnt = rows.weight * (rows.fraud - p) * odds.projected(effect, rows.weight)
    return _per_million(by_row, learnt, rows)


def discordant(
    change: NDArray[np.float64], weight: NDArray[np.float64], campaign: NDArray[np.intp]
) -> tuple[float, float]:
    """Return the numbers of campaigns, of equal weight, of which the first, and the second, stops more frauds.

    `change` [frauds] is 1 for a fraud that only the first stops, -1 for one that only the second stops, else 0.

    >>> discordant(np.array([1.0, 1.0, -1.0]), np.ones(3), np.array([7, 7, 8]))
    (1.0, 1.0)
    >>> discordant(np.array([1.0, -1.0, -1.0]), np.array([3.0, 1.0, 1.0]), np.array([7, 8, 9]))
    (1.3636..., 0.9090...)
    """
    size = int(campaign.max(initial=-1)) + 1
    gained, lost, squares = (float(part.sum()) for part in changes(change, weight, campaign, size))
    more, total = effective_cases(gained, gained + lost, squares)
    return more, total - more


def _per_million(by_row: NDArray[np.float64], learnt: NDArray[np.float64], rows: Rows) -> Measured:
    pix = float(rows.weight.sum())
    mean = float(by_row.sum()) / pix
    influence = (by_row - rows.weight * mean + learnt) / pix * MILLION
    return measured(mean * MILLION, influence, rows.block, rows.campaign)
