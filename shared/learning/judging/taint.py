"""Taint judged by the labels of MED 2.0 on later hops, and the share passed on and half-life that fit them best.

The reports of a funds recovery name the root and the hop. Taint says how probable it is that the payee of a Pix is a
fraudster too: it should be HOP to the power of the hops since the root, halved with each half-life since then. So
each closed report on a later hop is a trial of that probability: agreed or disagreed.

Only Pix in tracking graphs have such reports, chosen by institutions that expected fraud: HOP among them is higher
than among all Pix of tainted accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.features.layout import HALF_LIVES, HOP
from shared.learning.judging.bootstrap import Interval
from shared.learning.judging.proportions import wilson

Floats = NDArray[np.float64]

TAINTS = ("payer_taint_7d", "payer_taint_30d", "payee_taint_7d", "payee_taint_30d")
THRESHOLDS = (0.01, 0.05, 0.1, 0.25, 0.5)
HOPS = (2, 3, 4, 5)
"""Hops listed one by one; later ones count as the last."""
LABELS_MIN, OF_EACH_MIN = 50, 10
CONFIDENCE = 0.95
_DROP = 1.92
"""Fall of a log-likelihood at the ends of a 95 % interval: half the 0.95 quantile of chi-square with 1 degree."""
_GRID = np.round(np.arange(0.01, 1.0, 0.01), 2)


class HopLabels(NamedTuple):
    """Closed reports on n Pix of later hops."""

    hop: NDArray[np.int64]
    """[n], 2 or more."""
    fraud: NDArray[np.bool_]
    """[n], whether the report was agreed with."""
    age: Floats
    """[n], seconds since the root."""
    taint: Floats
    """[n, len(TAINTS)] as served, NaN where missing."""


class Legitimate(NamedTuple):
    """Legitimate Pix: all, and those at each threshold of each taint, [len(TAINTS), len(THRESHOLDS)]."""

    pix: int
    flagged: NDArray[np.int64]


class Detection(Struct, frozen=True):
    """Precision and recall of one taint at one threshold on one hop; `frauds` is the number of agreed reports.

    Precision counts the frauds of this hop and all legitimate Pix; None where nothing was flagged.
    """

    hop: int
    taint: str
    threshold: float
    frauds: int
    recall: float
    recall_interval: Interval
    precision: float | None


class Fit(Struct, frozen=True):
    """Values of HOP and half-life that fit closed reports best.

    `hop_interval` has 95 % confidence. `half_life` is None if the reports cannot tell half-lives apart;
    `log_likelihoods` has the best one of each half-life, and `current` that of the values in use with the longest
    half-life. Average precision is that of a ranking of these reports.
    """

    hop: float
    hop_interval: Interval
    half_life: str | None
    log_likelihoods: Mapping[str, float]
    current: float
    average_precision: float
    average_precision_current: float


def detections(labels: HopLabels, legitimate: Legitimate) -> list[Detection]:
    """Return precision and recall by hop, taint and threshold, for the hops that have frauds."""
    found = []
    for hop in HOPS:
        rows = labels.fraud & (np.minimum(labels.hop, HOPS[-1]) == hop)
        frauds = int(np.count_nonzero(rows))
        for i, taint in enumerate(TAINTS if frauds else ()):
            for j, threshold in enumerate(THRESHOLDS):
                hits = int(np.count_nonzero(labels.taint[rows, i] >= threshold))
                flagged = hits + int(legitimate.flagged[i, j])
                recall = wilson(hits, frauds, CONFIDENCE)
                precision = hits / flagged if flagged else None
                found.append(Detection(hop, taint, threshold, frauds, recall.value, recall.interval, precision))
    return found


def shortage(labels: HopLabels) -> str | None:
    """Return the reason why labels are too few to fit values to them, None if they suffice."""
    agreed = int(np.count_nonzero(labels.fraud))
    others = len(labels.fraud) - agreed
    if len(labels.fraud) >= LABELS_MIN and min(agreed, others) >= OF_EACH_MIN:
        return None
    return (
        f"{len(labels.fraud):,} of {LABELS_MIN} closed reports on later hops, "
        f"{agreed:,} agreed and {others:,} disagreed of {OF_EACH_MIN} each"
    )


def probability(hop: NDArray[np.int64], age: NDArray[np.float64], share: float, half_life: float) -> Floats:
    """Return the probability of fraud [n] by the model; `half_life` and `age` in seconds.

    >>> probability(np.array([2, 3]), np.array([0.0, 60.0]), 0.5, 60.0).tolist()
    [0.5, 0.125]
    """
    return np.asarray(share ** (hop - 1.0) * np.exp2(-age / half_life), dtype=np.float64)


def fit(labels: HopLabels) -> Fit:
    """Return the values of greatest likelihood; `labels` hold both outcomes.

    >>> rng = np.random.default_rng(0)
    >>> hop, age = rng.integers(2, 5, 4000), rng.exponential(600.0, 4000)
    >>> fraud = rng.random(4000) < 0.7 ** (hop - 1)
    >>> found = fit(HopLabels(hop, fraud, age, np.zeros((4000, 4))))
    >>> abs(found.hop - 0.7) < 0.03, found.half_life
    (True, None)
    """
    curves = {name: _curve(labels, seconds) for name, seconds in HALF_LIVES.items()}
    best = {name: float(curve.max()) for name, curve in curves.items()}
    name = max(best, key=lambda each: (best[each], HALF_LIVES[each]))
    near = _GRID[curves[name] >= best[name] - _DROP]
    clear = all(best[name] - other > _DROP for each, other in best.items() if each != name)
    share = float(_GRID[curves[name].argmax()])
    now = probability(labels.hop, labels.age, HOP, HALF_LIVES["30d"])
    return Fit(
        share,
        Interval(float(near[0]), float(near[-1])),
        name if clear else None,
        {each: round(value, 2) for each, value in best.items()},
        round(_log_likelihood(now, labels.fraud), 2),
        _average_precision(labels, probability(labels.hop, labels.age, share, HALF_LIVES[name])),
        _average_precision(labels, now),
    )


def _curve(labels: HopLabels, half_life: float) -> Floats:
    shares: Sequence[float] = _GRID.tolist()
    found = [_log_likelihood(probability(labels.hop, labels.age, each, half_life), labels.fraud) for each in shares]
    return np.array(found)


def _log_likelihood(chance: Floats, fraud: NDArray[np.bool_]) -> float:
    chance = np.clip(chance, 1e-9, 1 - 1e-9)
    return float(np.log(np.where(fraud, chance, 1 - chance)).sum())


def _average_precision(labels: HopLabels, score: Floats) -> float:
    return round(float(average_precision_score(labels.fraud, score)), 4)
