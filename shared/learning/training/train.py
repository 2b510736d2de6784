"""Sample training rows, and fit models."""

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
    """Feature vectors, float32 [n, inputs], and labels, bool [n], true for a fraud."""

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

    At most `rows_max` rows, but at least as many legitimate rows as frauds where there are enough.

    Sampling favours recent rows as weights would, but with weights HistGradientBoosting computes weighted quantiles
    for its bins: 72 s instead of 4 s on 195,000 rows of 147 columns. The calibration, on a later period that is not
    sampled, corrects the higher share of frauds.

    >>> recent_rows(np.array([0, DAY, 2 * DAY]), np.array([True, False, False]), half_life_days=0.01, seed=0)
    array([0, 2])
    """
    ages = (initiated_at[-1] - initiated_at) / (half_life_days * DAY)
    growth = np.exp2(np.minimum(ages, 1000.0))  # float64 overflows at 2^1024
    # A row is drawn if its lot is below 1, with probability 1 / growth. Under a limit the lowest lots are kept, which
    # thins all ages by the same factor.
    lots = np.random.default_rng(seed).random(len(ages)) * growth
    drawn = np.flatnonzero((lots < 1) & ~fraud)
    frauds = np.flatnonzero(fraud)
    if rows_max is not None:
        drawn = drawn[np.argsort(lots[drawn], kind="stable")[: max(rows_max - len(frauds), len(frauds))]]
    return np.sort(np.concatenate([frauds, drawn]))


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


def fit(family: ModelFamily, params: Mapping[str, Any], train: LabelledRows, seed: int) -> Any:
    """Return a fitted classifier. Raises Misconfigured, FitFailed.

    `params` are scikit-learn's, and `legitimate_per_fraud`, the most legitimate rows drawn for each fraud.
    Undersampling makes every family faster, and a network needs it: with one fraud in hundreds of rows it hardly
    learns. The calibration, on a period that is not sampled, corrects the share of frauds. The model keeps
    `legitimate_per_fraud` as an attribute, so that an incremental update draws the same share.
    Source: Dal Pozzolo et al., Calibrating Probability with Undersampling for Unbalanced Classification, SSCI 2015.
    """
    model = build(family, params, seed)
    drawn = undersample(train, params.get(LEGITIMATE_PER_FRAUD, math.inf), seed)
    with deterministic_fit():
        model.fit(drawn.features, drawn.fraud)
    setattr(model, LEGITIMATE_PER_FRAUD, params.get(LEGITIMATE_PER_FRAUD, math.inf))
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


def undersample(train: LabelledRows, per_fraud: float, seed: int) -> LabelledRows:
    """Return all frauds and at most `per_fraud` times as many legitimate rows, in order of time.

    Each column keeps at least one value if it has any, as HistGradientBoosting cannot bin a column without values.
    """
    frauds, legitimate = np.flatnonzero(train.fraud), np.flatnonzero(~train.fraud)
    if per_fraud * len(frauds) >= len(legitimate):
        return train
    drawn = np.random.default_rng(seed).choice(legitimate, max(round(per_fraud * len(frauds)), 1), replace=False)
    rows = np.sort(np.concatenate([frauds, drawn]))
    emptied = np.isnan(train.features[rows]).all(axis=0)
    last_known = [np.flatnonzero(~np.isnan(column))[-1:] for column in train.features[:, emptied].T]
    rows = np.union1d(rows, np.concatenate([rows[:0], *last_known]))  # rows[:0] sets the type if there are none
    return LabelledRows(np.asfortranarray(train.features[rows]), train.fraud[rows])


def _varies(column: NDArray[np.float32]) -> bool:
    low, high = np.fmin.reduce(column), np.fmax.reduce(column)
    if math.isnan(low):
        return False
    return bool(low < high or np.isnan(column).any())
