"""_Levels figures of scores, computed for many resamples at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.judging.bootstrap import Resampling, ratio

_CHUNK = 64  # resamples at a time, to keep [levels, chunk] arrays small


class _Levels(NamedTuple):
    """Weights per level and block; a level is a distinct score of a fraud, the highest first.

    The first three are float64 [levels, blocks]: frauds at the level, legitimate rows at it, and legitimate rows
    above it. `fraud` and `legitimate` [blocks] are the totals. Legitimate rows between two levels enter the figures
    only as a sum, so these weights are sufficient: rows are sorted once, and all resamples are matrix products.
    """

    fraud_at: NDArray[np.float64]
    legitimate_at: NDArray[np.float64]
    legitimate_above: NDArray[np.float64]
    fraud: NDArray[np.float64]
    legitimate: NDArray[np.float64]


class RankingFigures(NamedTuple):
    """Average precision, area under the ROC curve, recall and precision of the alerts; float64 [1 + resamples]."""

    average_precision: NDArray[np.float64]
    auc: NDArray[np.float64]
    alert_recall: NDArray[np.float64]
    alert_precision: NDArray[np.float64]


def ranking_figures(
    scores: NDArray[np.float64], fraud: NDArray[np.bool_], alert_share: float, resampling: Resampling
) -> RankingFigures:
    """Return the figures of `scores` [n]; alerts are the highest scores up to `alert_share` of the weight.

    Among equal scores at the end of the budget, the same fraction of each row counts as an alert. Average precision
    is the sum over levels of precision times the gain in recall, AUC the probability that a fraud scores above a
    legitimate row, ties counting half: both as scikit-learn defines them.
    """
    levels = _levels(scores, fraud, resampling)
    chunks = np.array_split(resampling.draws, range(_CHUNK, len(resampling.draws), _CHUNK))
    parts = [_figures(levels, draws, alert_share) for draws in chunks]
    return RankingFigures(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _levels(scores: NDArray[np.float64], fraud: NDArray[np.bool_], resampling: Resampling) -> _Levels:
    levels = np.unique(scores[fraud])[::-1]
    shape = (len(levels) + 1, resampling.draws.shape[1])
    first = np.searchsorted(-levels, -scores, side="left")  # number of levels above the score
    at = np.searchsorted(-levels, -scores, side="right") > first  # whether the score is itself a level

    def tally(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        cells = first[rows] * shape[1] + resampling.block[rows]
        counted = np.bincount(cells, weights=resampling.weight[rows], minlength=shape[0] * shape[1])
        return counted.reshape(shape).astype(np.float64)

    fraud_at, legitimate_at, between = tally(fraud), tally(~fraud & at), tally(~fraud & ~at)
    above = np.cumsum(between, axis=0) + np.vstack([np.zeros(shape[1]), np.cumsum(legitimate_at, axis=0)[:-1]])
    return _Levels(
        fraud_at[:-1],
        legitimate_at[:-1],
        above[:-1],
        fraud_at.sum(axis=0),
        (legitimate_at + between).sum(axis=0),
    )


def _figures(levels: _Levels, draws: NDArray[np.float64], alert_share: float) -> RankingFigures:
    """Return the figures of `draws` [chunk, blocks]; arrays below are [levels, chunk]."""
    frauds, legitimate = draws @ levels.fraud, draws @ levels.legitimate
    fraud_at, legitimate_at, above = (part @ draws.T for part in levels[:3])
    found = np.cumsum(fraud_at, axis=0)
    reached = found + above + legitimate_at
    precision = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
    below = legitimate - above - legitimate_at / 2
    before, tied = found - fraud_at + above, fraud_at + legitimate_at
    budget = alert_share * (frauds + legitimate)
    taken = np.divide(budget - before, tied, out=np.zeros_like(tied), where=tied > 0).clip(0, 1)
    alerted = (fraud_at * taken).sum(axis=0)
    return RankingFigures(
        ratio((fraud_at * precision).sum(axis=0), frauds),
        ratio((fraud_at * below).sum(axis=0), frauds * legitimate),
        ratio(alerted, frauds),
        ratio(alerted, budget),
    )
