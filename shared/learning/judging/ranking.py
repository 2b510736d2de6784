"""Figures of how well scores rank frauds above others, for many resamples at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.judging.bootstrap import Resampling, ratio

_CHUNK = 64  # resamples at a time: [levels, chunk] arrays stay small


class Ranking(NamedTuple):
    """Weights per block at each level, a level being a distinct score of a fraud, highest first.

    All are float64 [levels, blocks]: frauds at the level, legitimate ones at it, and legitimate ones above it.
    `fraud` and `legitimate` [blocks] are the totals. Legitimate rows between levels change no figure but by their
    sum, so this is all there is to know: the rows are sorted once, and each resample is a product of matrices.
    """

    fraud_at: NDArray[np.float64]
    legitimate_at: NDArray[np.float64]
    legitimate_above: NDArray[np.float64]
    fraud: NDArray[np.float64]
    legitimate: NDArray[np.float64]


class Ranked(NamedTuple):
    """Average precision, area under the ROC curve, recall and precision of the alerts; float64 [1 + resamples]."""

    average_precision: NDArray[np.float64]
    auc: NDArray[np.float64]
    alert_recall: NDArray[np.float64]
    alert_precision: NDArray[np.float64]


def ranked(
    scores: NDArray[np.float64], fraud: NDArray[np.bool_], alert_share: float, resampling: Resampling
) -> Ranked:
    """Return the figures of `scores` [n]; alerts are the highest scores that make up `alert_share` of the weight.

    Of equal scores at the end of the budget, a share of each is taken.
    """
    table = _ranking(scores, fraud, resampling)
    chunks = np.array_split(resampling.draws, range(_CHUNK, len(resampling.draws), _CHUNK))
    parts = [_figures(table, draws, alert_share) for draws in chunks]
    return Ranked(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _ranking(scores: NDArray[np.float64], fraud: NDArray[np.bool_], resampling: Resampling) -> Ranking:
    levels = np.unique(scores[fraud])[::-1]
    shape = (len(levels) + 1, resampling.draws.shape[1])
    first = np.searchsorted(-levels, -scores, side="left")  # how many levels lie above the score
    at = np.searchsorted(-levels, -scores, side="right") > first

    def tally(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        cells = first[rows] * shape[1] + resampling.block[rows]
        counted = np.bincount(cells, weights=resampling.weight[rows], minlength=shape[0] * shape[1])
        return counted.reshape(shape).astype(np.float64)

    fraud_at, legitimate_at, between = tally(fraud), tally(~fraud & at), tally(~fraud & ~at)
    above = np.cumsum(between, axis=0) + np.vstack([np.zeros(shape[1]), np.cumsum(legitimate_at, axis=0)[:-1]])
    return Ranking(
        fraud_at[:-1],
        legitimate_at[:-1],
        above[:-1],
        fraud_at.sum(axis=0),
        (legitimate_at + between).sum(axis=0),
    )


def _figures(table: Ranking, draws: NDArray[np.float64], alert_share: float) -> Ranked:
    """Return the figures of some resamples [chunk, blocks]."""
    frauds, legitimate = draws @ table.fraud, draws @ table.legitimate
    fraud_at, legitimate_at, above = (part @ draws.T for part in table[:3])
    found = np.cumsum(fraud_at, axis=0)
    reached = found + above + legitimate_at
    precise = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
    below = legitimate - above - legitimate_at / 2
    before, tied = found - fraud_at + above, fraud_at + legitimate_at
    budget = alert_share * (frauds + legitimate)
    taken = np.divide(budget - before, tied, out=np.zeros_like(tied), where=tied > 0).clip(0, 1)
    alerted = (fraud_at * taken).sum(axis=0)
    return Ranked(
        ratio((fraud_at * precise).sum(axis=0), frauds),
        ratio((fraud_at * below).sum(axis=0), frauds * legitimate),
        ratio(alerted, frauds),
        ratio(alerted, budget),
    )
