"""How far the score has moved, and how much of it the mix of traffic explains.

Traffic has cells: publisher, side, form of initiation, band of amount. If only their shares move, the score moves by
each cell's scores of before; the rest is that scores given the cell moved, which means other features. The
index of the mix and that of the rest add up to the index of the score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.monitoring.day_inputs import DayInputs
from shared.learning.monitoring.histogram import Histogram, stability

DAYS_MIN = 7
"""Days of a version whose scores are a reference: each weekday once."""


class ScoreMove(Struct, frozen=True):
    """Population stability indices of the score of a day: of all, of the mix, and the rest, scores given the mix."""

    total: float
    mix: float
    given: float
    rows: int


def score_move(day: DayInputs, known: Sequence[DayInputs]) -> ScoreMove | None:
    """Return the move of the score against the days of the same version before, None of too few of them.

    A cell that was not there before keeps the scores that it has: its part of the move is one of the mix.
    """
    before = [each for each in known if each.version == day.version and each.cells]
    if len(before) < DAYS_MIN or not day.cells:
        return None
    bins = len(day.cells[0].bins)
    past: dict[tuple[str, str, str, int], NDArray[np.float64]] = {}
    for each in before:
        for cell in each.cells:
            past[cell.key] = past.get(cell.key, np.zeros(bins)) + cell.bins
    mixed, scored = np.zeros(bins), np.zeros(bins)
    for cell in day.cells:
        own = np.array(cell.bins, dtype=np.float64)
        was = past.get(cell.key, own)
        scored += own
        mixed += was / was.sum() * own.sum()
    reference = _histogram(sum(past.values(), np.zeros(bins)))
    total, mix = stability(_histogram(scored), reference), stability(_histogram(mixed), reference)
    return ScoreMove(total, mix, total - mix, round(scored.sum()))


def _histogram(counts: NDArray[np.float64]) -> Histogram:
    """Return counts as a histogram, in millionths of all, since a mix has parts of rows."""
    shares = np.rint(1e6 * counts / max(counts.sum(), 1)).astype(int).tolist()
    return Histogram([float(place) for place in range(len(shares) - 1)], 0, shares)
