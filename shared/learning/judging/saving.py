"""Measure the saving of a challenger over the incumbent, as it came and as was to be expected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.judging.bootstrap import time_blocks
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.pooled import fit_odds, pooled_design
from shared.learning.judging.proportions import changes, effective_cases
from shared.learning.judging.spread import Measured, measured
from shared.learning.judging.stakes import MILLION, expected_by_row, saved_by_truth
from shared.scoring.rules import Decision


class Saving(Struct, frozen=True):
    """The saving of a challenger in BRL per million Pix, by labels and by probabilities, and who stops which frauds.

    `realised` is the difference of the costs by the labels of the period. `expected` has probability times amount in
    place of the labels: that of the pooled odds of both contenders, so that neither profits from its own optimism.
    `gained` and `lost` are the campaigns with a fraud that only the challenger, or only the incumbent, stops, as if
    all had equal weight. `overall` is the expected one with the decisions that no label judges, if the incumbent is
    right about them; None if these are not known.
    """

    realised: Measured
    expected: Measured
    gained: float
    lost: float
    overall: Measured | None = None


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
    effects = expected_effects(rows, design)
    overall = _overall(challenger, incumbent, period, rows, effects)
    return Saving(realised_saving(rows), per_million(*effects, rows), gained, lost, overall)


def _overall(
    challenger: Contender,
    incumbent: Contender,
    period: TestPeriod,
    rows: Rows,
    effects: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Measured | None:
    """Return the expected saving with the decisions without a label, None if these are not known.

    How many of them a period has, and of which amounts, is chance as well: one large Pix that was rejected can weigh
    more than all that is judged. So they are in the error as rows of their days.
    """
    if period.unjudged is None or challenger.opinion is None or incumbent.opinion is None:
        return None
    by_row, learnt = effects
    unjudged = period.unjudged
    more = unjudged.weight * expected_by_row(challenger.opinion, incumbent.opinion, unjudged, period.costs)
    none = np.zeros(len(more))
    return per_million(
        np.concatenate([by_row, more]),
        np.concatenate([learnt, none]),
        Rows(
            np.concatenate([rows.fraud, none.astype(bool)]),
            np.concatenate([rows.weight, none]),  # the saving is that per judged Pix
            np.concatenate([rows.saved, np.zeros((len(more), 2))]),
            time_blocks(np.concatenate([period.truth.initiated_at, unjudged.initiated_at])),
            np.concatenate([rows.campaign, rows.campaign.max(initial=-1) + 1 + np.arange(len(more))]),
        ),
    )


def realised_saving(rows: Rows) -> Measured:
    """Return the saving by the labels, in BRL per million Pix."""
    by_row = rows.weight * np.where(rows.fraud, rows.saved[:, 1], rows.saved[:, 0])
    return per_million(by_row, np.zeros(len(by_row)), rows)


def expected_saving(rows: Rows, design: NDArray[np.float64]) -> Measured:
    """Return the saving by the pooled probabilities of fraud, in BRL per million Pix.

    The realised saving hangs on the amounts of the few frauds that only one contender stops. Its expectation given
    scores, amounts and decisions has the same mean and less variance (Rao and Blackwell), as every Pix near the
    thresholds counts by its probability, not only those that happened to be frauds. The probabilities are fitted to
    the same labels, and this is part of the error: a fraud counts by its evidence about Pix with such scores.
    Source: Casella and Berger, Statistical Inference, 2002, 7.3.3; Newey and McFadden, Large Sample Estimation, 1994.
    """
    return per_million(*expected_effects(rows, design), rows)


def expected_effects(rows: Rows, design: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the expected saving of each row in BRL times its weight, and the part of its error by its label, [n]."""
    odds = fit_odds(design, rows.fraud, rows.weight)
    p, effect = odds.probability, rows.saved[:, 1] - rows.saved[:, 0]
    by_row = rows.weight * (rows.saved[:, 0] + p * effect)
    return by_row, rows.weight * (rows.fraud - p) * odds.projected(effect, rows.weight)


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


def per_million(by_row: NDArray[np.float64], learnt: NDArray[np.float64], rows: Rows) -> Measured:
    """Return the sum of `by_row` [n] for a million Pix; `learnt` [n] is the error by fitted probabilities."""
    pix = float(rows.weight.sum())
    mean = float(by_row.sum()) / pix
    influence = (by_row - rows.weight * mean + learnt) / pix * MILLION
    return measured(mean * MILLION, influence, rows.block, rows.campaign)
