"""Draw training rows, and fit models."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from shared.errors import Misconfigured
from shared.learning.data.split import WEEK
from shared.learning.errors import FitFailed
from shared.learning.specs.search import LEGITIMATE_PER_FRAUD, ModelFamily
from shared.learning.training.families import FAMILIES

_ROUNDING = 1e-6  # of a sum of chances


class LabelledRows(NamedTuple):
    """Feature vectors, float32 [n, inputs], labels, bool [n], true for a fraud, and weights [n], None: all are 1."""

    features: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    weight: NDArray[np.float64] | None = None


class Drawn(NamedTuple):
    """Rows to fit a model to: ascending indexes [m], and the weight of each in the fit [m]."""

    rows: NDArray[np.intp]
    weight: NDArray[np.float64]

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Drawn:
        """Return some of the rows, by a mask or by their places."""
        return Drawn(self.rows[chosen], self.weight[chosen])

    def times(self, factors: NDArray[np.float64]) -> Drawn:
        """Return the same rows with weights times the factors [n] of all rows."""
        return self._replace(weight=self.weight * factors[self.rows])

    def after(self, start: int) -> Drawn:
        """Return the same rows, whose indexes count from a period that begins at `start`."""
        return self._replace(rows=start + self.rows)


class Fitted(NamedTuple):
    """A fitted model, the indexes of the columns that it reads, and those of the rows that it was fitted to."""

    model: Any
    columns: NDArray[np.intp]
    rows: NDArray[np.intp]


def drawn_rows(
    initiated_at: NDArray[np.int64],
    fraud: NDArray[np.bool_],
    share: float,
    seed: int,
    weight: NDArray[np.float64] | None = None,
) -> Drawn:
    """Return all frauds, and at most `share` legitimate rows for each, of its own week.

    Times [n] ascend; a row stands for `weight` [n] decisions, by default for its own. A fraud that stands for many
    draws legitimate rows for all of them, and a legitimate one that does is drawn as much more often (Pareto
    sampling). It keeps the part of its weight that being drawn for certain cannot express.
    Source: Rosén, On Sampling with Probability Proportional to Size, J. Statistical Planning and Inference, 1997.

    Undersampling makes every family faster, and a network needs it: with one fraud in hundreds of
    rows it hardly learns. The calibration, on a later period that is not sampled, corrects the share of frauds.
    Source: Dal Pozzolo et al., Calibrating Probability with Undersampling for Unbalanced Classification, SSCI 2015.

    The share of frauds is that of every week alike. Where legitimate rows fade with age and frauds do not, or fewer
    of a day's are stored, a model learns the time instead: old counters, young accounts or a missing new feature
    would tell a fraud. `make bench-long` compares choices.

    >>> fraud = np.array([True, False, False, False, False, True])
    >>> at = np.array([0, 1, 2, 9, 9, 9]) * WEEK // 7
    >>> drawn_rows(at, fraud, share=1, seed=0).rows.tolist()
    [0, 2, 4, 5]
    >>> drawn_rows(at, fraud, share=1, seed=0, weight=np.array([1.0, 1, 8, 1, 1, 2])).weight.tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0]
    """
    stands = np.ones(len(fraud)) if weight is None else weight
    if math.isinf(share):
        return Drawn(np.arange(len(fraud)), stands)
    weeks = (initiated_at - initiated_at[:1]) // WEEK
    frauds, legitimate = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    own, size = weeks[legitimate], int(weeks.max(initial=0)) + 1
    wanted = np.ceil(share * np.bincount(weeks[frauds], stands[frauds], size))
    there = np.bincount(own, stands[legitimate], size)
    rate = np.minimum(np.divide(wanted, there, out=np.ones(size), where=there > 0), 1.0)[weeks]
    chance = np.minimum(rate[legitimate] * stands[legitimate], 1.0)
    number = np.ceil(np.bincount(own, chance, size) - _ROUNDING)
    lots = np.random.default_rng(seed).random(len(legitimate))
    with np.errstate(divide="ignore", invalid="ignore"):  # a week without frauds has no chance, and takes no rows
        odds = lots / (1 - lots) * ((1 - chance) / chance)
    shuffled = np.lexsort((odds, own))
    of_week = own[shuffled]
    turn = np.arange(len(shuffled)) - np.searchsorted(of_week, of_week)
    rows = np.sort(np.concatenate([frauds, legitimate[shuffled[turn < number[of_week]]]]))
    return Drawn(rows, np.where(fraud[rows], stands[rows], np.maximum(rate[rows] * stands[rows], 1.0)))


def labelled_rows(features: NDArray[np.float32], fraud: NDArray[np.bool_], drawn: Drawn) -> LabelledRows:
    """Return drawn rows with features [m, inputs] and labels [m].

    Weights that are all 1 are none, with which a fit gives the same bytes as before there were any.
    """
    return LabelledRows(features, fraud, None if np.all(drawn.weight == 1) else drawn.weight)


def informative_columns(features: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the indexes of the columns that vary in these rows; missing counts as a value.

    Constant columns carry no information, and HistGradientBoosting cannot bin a column without values.
    """
    kept = [j for j, column in enumerate(features.T) if _varies(column[rows])]
    return np.array(kept, dtype=np.intp)


def build(family: ModelFamily, params: Mapping[str, Any], seed: int) -> Any:
    """Return an unfitted estimator. Raises Misconfigured for a parameter that the family does not have."""
    known = {name: value for name, value in params.items() if name != LEGITIMATE_PER_FRAUD}
    try:
        return FAMILIES[family].build(known, seed)
    except TypeError as error:
        raise Misconfigured(f"{family}: {error}") from error


def per_fraud(params: Mapping[str, Any]) -> float:
    """Return `legitimate_per_fraud` of some parameters; without it, all rows are drawn."""
    return float(params.get(LEGITIMATE_PER_FRAUD, math.inf))


def fit(family: ModelFamily, params: Mapping[str, Any], train: LabelledRows, seed: int) -> Any:
    """Return a classifier fitted to all of `train`. Raises Misconfigured, FitFailed.

    `params` are scikit-learn's, and `legitimate_per_fraud`, by which the rows were drawn: the model keeps it as an
    attribute, so that an incremental update draws the same share.
    """
    model = build(family, params, seed)
    with deterministic_fit():
        FAMILIES[family].fit(model, *train)
    setattr(model, LEGITIMATE_PER_FRAUD, per_fraud(params))
    return model


@contextmanager
def deterministic_fit() -> Iterator[None]:
    """Make fits inside the block reproducible and quiet. Raises FitFailed if scikit-learn refuses or a fit diverges.

    OpenMP gets two threads: with more, the rounding of boosting's sums depends on the order in which threads finish.
    BLAS gets one, as a network's matrices are too small for more. Forests use all cores to grow, each tree having its
    own seed, but one to predict, outside of the block. A model that has not converged is judged by its average
    precision, so that warning is silenced.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"), threadpool_limits({"openmp": 2, "blas": 1}):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Got `batch_size`", UserWarning)  # scikit-learn then uses the sample's size
        try:
            with parallel_config("threading", n_jobs=-1):
                yield
        except (ValueError, ArithmeticError) as error:
            raise FitFailed(str(error).partition("\n")[0]) from error


def raw_scores(model: Any, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the uncalibrated probability of fraud [n]."""
    return np.asarray(model.predict_proba(features)[:, 1], dtype=np.float64)


def _varies(column: NDArray[np.float32]) -> bool:
    low, high = np.fmin.reduce(column), np.fmax.reduce(column)
    if math.isnan(low):
        return False
    return bool(low < high or np.isnan(column).any())
