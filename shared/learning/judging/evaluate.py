"""Measure scores and decisions on a period that no choice was made on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.data.split import DAY, HOUR
from shared.learning.judging.bootstrap import Interval, Resampling, estimate, ratio
from shared.learning.judging.ranking import ranking_figures
from shared.learning.training.calibrate import log_losses
from shared.learning.training.thresholds import days
from shared.scoring.rules import Decision

_BINS = 10
_BEHIND_UTC = 3 * HOUR  # Brasília, all year


class Evaluation(Struct, frozen=True):
    """Figures of one model on one period, each row weighted by the Pix it represents; shares are between 0 and 1.

    `pix` is the number of Pix that the rows represent, `frauds` of frauds among them. `precision`, `recall` and `f1`
    are of the decisions other than APPROVE, `value_detected` is the share of the defrauded BRL in them. The `alert`
    figures are of the highest scores up to the alert budget instead. `calibration_error` is the expected calibration
    error over ten bins of equal weight, `calibration_ratio` the frauds expected by the scores divided by the frauds
    observed. `holds_per_day` is the mean, `holds_busiest_day` the maximum of any day in Brasília. `cost_per_million`
    is in BRL for a million Pix.
    """

    rows: int
    frauds: float
    pix: float
    average_precision: float
    auc: float
    brier: float
    log_loss: float
    calibration_error: float
    calibration_ratio: float
    precision: float
    recall: float
    f1: float
    alert_precision: float
    alert_recall: float
    value_detected: float
    cost_per_million: float
    held_share: float
    rejected_share: float
    holds_per_day: float
    holds_busiest_day: float


class Scored(NamedTuple):
    """The output of a model on a period: calibrated scores, decisions and their costs in BRL, all [n]."""

    scores: NDArray[np.float64]
    decisions: NDArray[np.int8]
    costs: NDArray[np.float64]


class Truth(NamedTuple):
    """The truth of a period: whether each row is a fraud, its amount in BRL, its time in microseconds; all [n]."""

    fraud: NDArray[np.bool_]
    amount: NDArray[np.float64]
    initiated_at: NDArray[np.int64]


class Bin(NamedTuple):
    """A bin of a reliability curve: its mean score, observed share of frauds, Pix and frauds."""

    expected: float
    observed: float
    pix: float
    frauds: float


def evaluate(
    scored: Scored, truth: Truth, resampling: Resampling, alert_share: float, confidence: float
) -> tuple[Evaluation, dict[str, Interval]]:
    """Return the figures, and by name the intervals of those that have one."""
    samples = _samples(scored, truth, resampling, alert_share)
    estimates = {name: estimate(values, confidence) for name, values in samples.items()}
    held = resampling.weight * (scored.decisions == Decision.HOLD)
    evaluation = Evaluation(
        rows=len(truth.fraud),
        frauds=float(resampling.weight[truth.fraud].sum()),
        pix=float(resampling.weight.sum()),
        holds_per_day=float(held.sum()) / max(days(truth.initiated_at), HOUR / DAY),
        holds_busiest_day=float(np.bincount(_local_day(truth.initiated_at), weights=held).max()),
        **{name: found.value for name, found in estimates.items()},
    )
    return evaluation, {name: found.interval for name, found in estimates.items()}


def saving(dearer: NDArray[np.float64], cheaper: NDArray[np.float64], resampling: Resampling) -> NDArray[np.float64]:
    """Return the saving of `cheaper` over `dearer`, costs in BRL [n], per million Pix; float64 [1 + resamples].

    Differences are taken row by row, so variation that both contenders share cancels out of the interval.
    """
    return ratio(resampling.sums(dearer - cheaper), _weights(resampling)) * 1e6


def reliability(
    scores: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64], bins: NDArray[np.intp]
) -> list[Bin]:
    """Return the bins of a reliability curve, given the bin of each row [n]; empty bins are left out."""
    pix, expected, frauds = (np.bincount(bins, weights=weight * part) for part in (np.ones(len(bins)), scores, fraud))
    rows = zip(pix.tolist(), expected.tolist(), frauds.tolist(), strict=True)
    return [Bin(score / n, fraud / n, n, fraud) for n, score, fraud in rows if n > 0]


def calibration_error(scores: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """Return the expected calibration error over ten bins of equal weight.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    found = reliability(scores, fraud, weight, equal_bins(scores, weight))
    return sum(abs(bin_.expected - bin_.observed) * bin_.pix for bin_ in found) / float(weight.sum())


def equal_bins(scores: NDArray[np.float64], share: NDArray[np.float64], bins: int = _BINS) -> NDArray[np.intp]:
    """Return the bin of each row [n] by ascending score; each bin has about the same sum of `share` [n].

    Equal scores are in the same bin, so the order of rows does not matter.

    >>> equal_bins(np.array([0.1, 0.9, 0.5, 0.5]), np.ones(4), 2).tolist()
    [0, 1, 1, 1]
    """
    levels, level = np.unique(scores, return_inverse=True)
    held = np.bincount(level, weights=share, minlength=len(levels))
    middle = (np.cumsum(held) - held / 2) / max(held.sum(), np.finfo(float).tiny)
    return np.asarray(np.minimum((middle * bins).astype(np.intp), bins - 1)[level])


def _samples(
    scored: Scored, truth: Truth, resampling: Resampling, alert_share: float
) -> Mapping[str, NDArray[np.float64]]:
    """Return every figure that is a function of sums over rows, with its resamples; float64 [1 + resamples] each."""
    fraud, alerted, scores = truth.fraud, scored.decisions != Decision.APPROVE, scored.scores
    total, frauds = _weights(resampling), resampling.sums(fraud)
    alerts, caught = resampling.sums(alerted), resampling.sums(alerted & fraud)
    return {
        **ranking_figures(scores, fraud, alert_share, resampling)._asdict(),
        "brier": ratio(resampling.sums((scores - fraud) ** 2), total),
        "log_loss": ratio(resampling.sums(log_losses(scores, fraud)), total),
        "calibration_error": _calibration_errors(scores, fraud, resampling),
        "calibration_ratio": ratio(resampling.sums(scores), frauds),
        "precision": ratio(caught, alerts),
        "recall": ratio(caught, frauds),
        "f1": ratio(2 * caught, alerts + frauds),
        "value_detected": ratio(
            resampling.sums(truth.amount * (alerted & fraud)), resampling.sums(truth.amount * fraud)
        ),
        "cost_per_million": ratio(resampling.sums(scored.costs), total) * 1e6,
        "held_share": ratio(resampling.sums(scored.decisions == Decision.HOLD), total),
        "rejected_share": ratio(resampling.sums(scored.decisions == Decision.REJECT), total),
    }


def _calibration_errors(
    scores: NDArray[np.float64], fraud: NDArray[np.bool_], resampling: Resampling
) -> NDArray[np.float64]:
    """Return the calibration error and its resamples, biased upwards as gaps of either sign are errors."""
    bins = equal_bins(scores, resampling.weight)  # of all rows: bins that vary by resample would not be sums
    gaps = [resampling.sums((scores - fraud) * (bins == one)) for one in range(_BINS)]
    return ratio(np.abs(gaps).sum(axis=0), _weights(resampling))


def _weights(resampling: Resampling) -> NDArray[np.float64]:
    return resampling.sums(np.ones(len(resampling.block)))


def _local_day(initiated_at: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the local day of each row, numbered from 0."""
    day = (initiated_at - _BEHIND_UTC) // DAY
    return np.asarray(day - day.min(), dtype=np.intp)
