"""Average precision by the choice of training rows, on periods that no row of the training reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.learning.data.dataset import Dataset
from shared.learning.data.split import DAY, WEEK
from shared.learning.specs.search import CandidateSpec
from shared.learning.training.train import (
    LabelledRows,
    drawn_rows,
    fit,
    informative_columns,
    per_fraud,
    raw_scores,
)
from tests.benchmarks.long_world.world import World

TESTED = 10 * WEEK
APART = 32 * DAY
"""Between training and test: the calibration period and the embargoes."""
BACK = (0, 12)
"""Weeks from the end of the labels to the end of a test period."""

Rows = NDArray[np.intp]
Draw = Callable[[NDArray[np.int64], NDArray[np.bool_], float, int], Rows]


class Reached(NamedTuple):
    """The average precision of one choice of rows on one period, and the number of its training rows."""

    choice: str
    average_precision: float
    rows: int


def compared(world: World, candidate: CandidateSpec, seed: int) -> Iterator[Reached]:
    """Yield the average precision of each choice on each test period of a world."""
    data = world.matured()
    for weeks in BACK:
        end = int(data.initiated_at[-1]) - weeks * WEEK
        trained, start = np.searchsorted(data.initiated_at, [end - TESTED - APART, end - TESTED]).tolist()
        test = slice(start, int(np.searchsorted(data.initiated_at, end, side="right")))
        for name, draw in CHOICES.items():
            at, fraud = data.initiated_at[:trained], data.fraud[:trained]
            rows = draw(at, fraud, per_fraud(candidate.params), seed)
            yield Reached(name, _average_precision(data, rows, test, candidate, seed), len(rows))


def _average_precision(data: Dataset, rows: Rows, test: slice, candidate: CandidateSpec, seed: int) -> float:
    columns = informative_columns(data.features, rows)
    train = LabelledRows(data.take(rows, columns), data.fraud[rows])
    model = fit(candidate.family, candidate.params, train, seed)
    scores = raw_scores(model, np.ascontiguousarray(data.features[test, columns]))
    return float(average_precision_score(data.fraud[test], scores))


def _product(at: NDArray[np.int64], fraud: NDArray[np.bool_], share: float, seed: int) -> Rows:
    return drawn_rows(at, fraud, share, seed).rows


def _uniform(at: NDArray[np.int64], fraud: NDArray[np.bool_], share: float, seed: int) -> Rows:  # noqa: ARG001
    frauds, legitimate = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    number = min(len(legitimate), round(share * len(frauds)))
    return np.sort(np.r_[frauds, np.random.default_rng(seed).choice(legitimate, number, replace=False)])


def _faded(days: float, frauds_too: bool) -> Draw:
    """Return a choice by which rows fade by half-life before they are drawn, legitimate ones alone or both."""

    def draw(at: NDArray[np.int64], fraud: NDArray[np.bool_], share: float, seed: int) -> Rows:
        lots = np.random.default_rng(seed).random(len(at))
        kept = np.flatnonzero((lots < np.exp2((at - at[-1]) / (days * DAY))) | (fraud & (not frauds_too)))
        return kept[_uniform(at[kept], fraud[kept], share, seed)]

    return draw


def _newest(days: float) -> Draw:
    def draw(at: NDArray[np.int64], fraud: NDArray[np.bool_], share: float, seed: int) -> Rows:
        first = int(np.searchsorted(at, at[-1] - round(days * DAY)))
        return first + _product(at[first:], fraud[first:], share, seed)

    return draw


PRODUCT, NO_FADING = "from the frauds' weeks (the product)", "from all days alike (no fading)"
CHOICES: Mapping[str, Draw] = {
    PRODUCT: _product,
    NO_FADING: _uniform,
    "legitimate rows fade, 60 days": _faded(60, frauds_too=False),
    "both fade, 360 days": _faded(360, frauds_too=True),
    "from the frauds' weeks, last 365 days": _newest(365),
    "from the frauds' weeks, last 540 days": _newest(540),
}
