"""Choose rows to train on, and fit."""

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
from shared.learning.config import LEGITIMATE_PER_FRAUD, ModelFamily
from shared.learning.data.split import DAY
from shared.learning.errors import FitFailed
from shared.learning.training.families import FAMILIES


class LabelledRows(NamedTuple):
    """Vectors float32 [n, inputs] and whether they are frauds, bool [n]."""

    features: NDArray[np.float32]
    fraud: NDArray[np.bool_]


def recent_rows(
    initiated_at: NDArray[np.int64],
    fraud: NDArray[np.bool_],
    half_life_days: float,
    seed: int,
    rows_max: int | None = None,
) -> NDArray[np.intp]:
    """Return ascending indexes of a sample: all frauds, and legitimate rows with a chance that halves by half-life.

    At most `rows_max` rows, but no fewer legitimate ones than frauds if there are as many.

    Recent rows so weigh more. Weights would do it too, but HistGradientBoosting computes weighted quantiles for its
    bins: 72 s instead of 4 s on 195,000 rows of 147 columns. The share of frauds that this raises is put right by
    the calibration, on a later period that is not sampled.

    >>> recent_rows(np.array([0, DAY, 2 * DAY]), np.array([True, False, False]), half_life_days=0.01, seed=0)
    array([0, 2])
    """
    ages = (initiated_at[-1] - initiated_at) / (half_life_days * DAY)
    growth = np.exp2(np.minimum(ages, 1000.0))  # float64 ends at 2^1024
    lots = np.random.default_rng(seed).random(len(ages)) * growth  # below 1: drawn; the lower the earlier
    drawn = np.flatnonzero((lots < 1) & ~fraud)
    frauds = np.flatnonzero(fraud)
    if rows_max is not None:
        drawn = drawn[np.argsort(lots[drawn], kind="stable")[: max(rows_max - len(frauds), len(frauds))]]
    return np.sort(np.concatenate([frauds, drawn]))


def informative_columns(features: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the indexes of the columns that hold more than one value in these rows; missing counts as a value.

    The others teach nothing, and HistGradientBoosting does not bin a column that is missing throughout.
    """
    kept = [j for j, column in enumerate(features.T) if _varies(column[rows])]
    return np.array(kept, dtype=np.intp)


def build(family: ModelFamily, params: Mapping[str, Any], seed: int) -> Any:
    """Return an estimator that is not fitted yet. Raises Misconfigured for a parameter that it does not have."""
    known = {name: value for name, value in params.items() if name != LEGITIMATE_PER_FRAUD}
    try:
        return FAMILIES[family].build(known, seed)
    except TypeError as error:
        raise Misconfigured(f"{family}: {error}") from error


def fit(family: ModelFamily, params: Mapping[str, Any], train: LabelledRows, seed: int) -> Any:
    """Return a fitted classifier. Raises Misconfigured, FitFailed.

    `params` are scikit-learn's, and `legitimate_per_fraud`: of the legitimate rows at most so many for each fraud are
    drawn. Networks need it, as they hardly move while one row in hundreds is a fraud; any family is faster by it.
    The calibration, on a period that is not sampled, puts the share of frauds right. The model remembers the number,
    so that continuing it draws the same share.
    """
    model = build(family, params, seed)
    drawn = undersample(train, params.get(LEGITIMATE_PER_FRAUD, math.inf), seed)
    with deterministic_fit():
        model.fit(drawn.features, drawn.fraud)
    setattr(model, LEGITIMATE_PER_FRAUD, params.get(LEGITIMATE_PER_FRAUD, math.inf))
    return model


@contextmanager
def deterministic_fit() -> Iterator[None]:
    """Fit the same way every time, and quietly. Raises FitFailed for what scikit-learn refuses or what diverges.

    Boosting adds up with two threads at most: the sum of more depends on which is done first. A forest grows on all
    cores, but predicts on one outside of this, for the same reason. The matrices of a network are too small for more
    than one thread. That a model has not converged is for its
    average precision to show.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"), threadpool_limits({"openmp": 2, "blas": 1}):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Got `batch_size`", UserWarning)  # larger than the sample: then it is that
        try:
            with parallel_config("threading", n_jobs=-1):
                yield
        except (ValueError, ArithmeticError) as error:
            raise FitFailed(str(error).partition("\n")[0]) from error


def raw_scores(model: Any, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the uncalibrated probability of fraud [n]."""
    return np.asarray(model.predict_proba(features)[:, 1], dtype=np.float64)


def undersample(train: LabelledRows, per_fraud: float, seed: int) -> LabelledRows:
    """Return all frauds and at most `per_fraud` times as many legitimate rows, in order of time."""
    frauds, legitimate = np.flatnonzero(train.fraud), np.flatnonzero(~train.fraud)
    if per_fraud * len(frauds) >= len(legitimate):
        return train
    drawn = np.random.default_rng(seed).choice(legitimate, max(round(per_fraud * len(frauds)), 1), replace=False)
    rows = np.sort(np.concatenate([frauds, drawn]))
    absent = np.isnan(train.features[rows]).all(axis=0)
    known = [np.flatnonzero(~np.isnan(column))[-1:] for column in train.features[:, absent].T]
    rows = np.union1d(rows, np.concatenate([rows[:0], *known]))  # boosting does not bin what is missing throughout
    return LabelledRows(np.asfortranarray(train.features[rows]), train.fraud[rows])


def _varies(column: NDArray[np.float32]) -> bool:
    low, high = np.fmin.reduce(column), np.fmax.reduce(column)
    if math.isnan(low):
        return False
    return bool(low < high or np.isnan(column).any())
