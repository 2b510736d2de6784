"""Evaluate candidates on the folds of a search: here, one after the other, or by an engine of many machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.learning.errors import FitFailed
from shared.learning.specs.search import CandidateSpec
from shared.learning.training.train import (
    LabelledRows,
    drawn_rows,
    fit,
    informative_columns,
    labelled_rows,
    per_fraud,
    raw_scores,
)


class FoldData(NamedTuple):
    """Examples of a fold, shared by all trials.

    `at` [m] are the times of the training rows in microseconds, `stands` [m] the number of decisions that each stands
    for, `factors` [m] those of their amounts (AmountWeights), `weight` [n] the number of Pix that a validation row
    stands for.
    """

    train: LabelledRows
    at: NDArray[np.int64]
    stands: NDArray[np.float64]
    factors: NDArray[np.float64]
    validation: LabelledRows
    weight: NDArray[np.float64]


class Attempt(NamedTuple):
    """A candidate, and all its parameters in a trial."""

    candidate: CandidateSpec
    params: Mapping[str, Any]


class FoldScore(Struct, frozen=True):
    """Average precision of an attempt on a fold, None with the reason `failure` if it could not be fitted.

    `seconds` is the time of fit and validation, `last` says that no fold follows.
    """

    average_precision: float | None
    seconds: float
    last: bool
    failure: str = ""


Evaluate = Callable[[Sequence[Attempt]], Sequence[Iterator[FoldScore]]]
"""Return the scores of each attempt, fold by fold; they may be computed only as they are taken."""


def evaluate_here(folds: Sequence[FoldData], seed: int) -> Evaluate:
    """Return the evaluation in this process, which fits nothing for a fold that is not asked for."""

    def scores(attempt: Attempt) -> Iterator[FoldScore]:
        for number in range(len(folds)):
            yield fold_score(attempt, folds, number, seed)

    return lambda attempts: [scores(attempt) for attempt in attempts]


def fold_score(attempt: Attempt, folds: Sequence[FoldData], number: int, seed: int) -> FoldScore:
    """Fit an attempt on a fold and validate it. Raises Misconfigured for a parameter that its family lacks."""
    start, last = time.perf_counter(), number + 1 == len(folds)
    try:
        reached = _average_precision(attempt, folds[number], seed)
    except FitFailed as error:
        return FoldScore(None, time.perf_counter() - start, last, str(error))
    return FoldScore(reached, time.perf_counter() - start, last)


def _average_precision(attempt: Attempt, fold: FoldData, seed: int) -> float:
    candidate, params = attempt
    drawn = drawn_rows(fold.at, fold.train.fraud, per_fraud(params), seed, fold.stands).times(fold.factors)
    columns = informative_columns(fold.train.features, drawn.rows)
    features = np.asfortranarray(fold.train.features[np.ix_(drawn.rows, columns)])
    model = fit(candidate.family, params, labelled_rows(features, fold.train.fraud[drawn.rows], drawn), seed)
    scores = raw_scores(model, np.ascontiguousarray(fold.validation.features[:, columns]))
    return float(average_precision_score(fold.validation.fraud, scores, sample_weight=fold.weight))
