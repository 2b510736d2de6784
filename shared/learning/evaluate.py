"""Measure scores and decisions on a period that nothing was chosen on."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from shared.learning.costs import per_million

_BINS = 10
_CLIP = 1e-7


class Evaluation(Struct, frozen=True):
    """Figures of one model on one period; costs are in BRL for a million Pix, shares between 0 and 1.

    `calibration_error` is the expected calibration error over ten bins of equal count. `alert` figures take the
    highest scores up to the alert budget. `value_detected` is the share of the defrauded BRL among them.
    """

    rows: int
    frauds: int
    average_precision: float
    auc: float
    brier: float
    log_loss: float
    calibration_error: float
    alert_precision: float
    alert_recall: float
    value_detected: float
    cost_per_million: float
    held_share: float
    rejected_share: float


def evaluate(
    scores: NDArray[np.float64],
    decisions: NDArray[np.int8],
    fraud: NDArray[np.bool_],
    amount: NDArray[np.float64],
    losses: NDArray[np.float64],
    alert_share: float,
) -> Evaluation:
    """Return the figures of `scores` [n] and `decisions` [n]; `losses` [n, 3] says what decisions cost."""
    clipped = np.clip(scores, _CLIP, 1 - _CLIP)
    alerts = np.argsort(-scores, kind="stable")[: max(1, round(alert_share * len(scores)))]
    found = fraud[alerts]
    return Evaluation(
        rows=len(fraud),
        frauds=int(fraud.sum()),
        average_precision=float(average_precision_score(fraud, scores)),
        auc=float(roc_auc_score(fraud, scores)),
        brier=float(brier_score_loss(fraud, clipped)),
        log_loss=float(log_loss(fraud, clipped)),
        calibration_error=calibration_error(scores, fraud),
        alert_precision=float(found.mean()),
        alert_recall=float(found.sum() / fraud.sum()),
        value_detected=float(amount[alerts][found].sum() / amount[fraud].sum()),
        cost_per_million=per_million(losses, decisions),
        held_share=float((decisions == 1).mean()),
        rejected_share=float((decisions == 2).mean()),
    )


def calibration_error(scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over ten bins of equal count.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    gaps = [abs(scores[part].mean() - fraud[part].mean()) * len(part) for part in bins]
    return float(sum(gaps) / len(scores))
