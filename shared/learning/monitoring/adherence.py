"""How far a new base of Pix keeps to the one that the champion was trained on, with and without labels.

Without labels: the score and each input against the champion's profile. With labels: log loss and F1 of the champion
on the new base against those of the test period of its training. Both depend on the share of frauds, which the result
has too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.fields import Verdict
from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.profile import OrderedColumn, Profile, bin_of, stability_index
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.monitoring.estimate import CONFIDENCE
from shared.learning.monitoring.histogram import Histogram, effects_on, moved, of_profile
from shared.learning.specs.drift import DriftSpec
from shared.learning.training.calibrate import log_losses
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, Rules

VERDICT = "verdict"
_RESAMPLES, _LISTED = 1_000, 10
_LABELS = {Verdict.FRAUD.value: True, Verdict.LEGITIMATE.value: False}


class Base(Struct, frozen=True):
    """Rows of a file: vectors [n, len(FEATURE_NAMES)], who asks, and labels, None where the file has none."""

    features: NDArray[np.float32]
    by_payee: NDArray[np.bool_]
    fraud: NDArray[np.bool_] | None


class LabelledFigures(Struct, frozen=True):
    """Figures of the labelled rows with intervals of 90 %, and those of the base of training, None where unknown."""

    frauds: int
    log_loss: Estimate
    f1: Estimate
    trained_log_loss: float | None
    trained_f1: float | None
    trained_fraud_share: float | None


class Adherence(Struct, frozen=True):
    """The result. `inputs` are the ten farthest moved, in log-odds of the score; `reasons` name the departures."""

    outcome: Literal["ADHERES", "DEPARTS"]
    reasons: list[str]
    version: str
    rows: int
    score_psi: float
    inputs: dict[str, float]
    labelled: LabelledFigures | None


def read_base(file: Path, names: list[str]) -> Base:
    """Return the rows of a Parquet file, or a CSV, with a column `f_` and name for each of the inputs `names`.

    `side` (PAYER if absent) and `verdict` (FRAUD, LEGITIMATE; all rows or none) are optional. Raises Misconfigured.
    """
    try:
        table = pc.read_csv(file) if file.suffix == ".csv" else pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise Misconfigured(f"{file} cannot be read: {type(error).__name__}") from error
    if lacking := [FEATURE_PREFIX + name for name in names if FEATURE_PREFIX + name not in table.column_names]:
        raise Misconfigured(f"{file} has no column {', '.join(lacking[:5])}")
    if not table.num_rows:
        raise Misconfigured(f"{file} has no rows")
    features = np.full((table.num_rows, len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    for name in names:
        features[:, FEATURE_NAMES.index(name)] = _numbers(file, table, FEATURE_PREFIX + name)
    sides = table["side"].to_pylist() if "side" in table.column_names else ["PAYER"] * table.num_rows
    by_payee = np.array([side == "PAYEE" for side in sides], dtype=bool)
    return Base(features, by_payee, _labels(file, table))


def _numbers(file: Path, table: pa.Table, name: str) -> NDArray[np.float32]:
    try:
        return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float32)
    except pa.ArrowException as error:
        raise Misconfigured(f"{file}: column {name} has something else than numbers") from error


def _labels(file: Path, table: pa.Table) -> NDArray[np.bool_] | None:
    if VERDICT not in table.column_names:
        return None
    found = table[VERDICT].to_pylist()
    if unknown := sum(each not in _LABELS for each in found):
        raise Misconfigured(f"{file}: {unknown:,} rows have a {VERDICT} other than {' and '.join(_LABELS)}")
    return np.array([_LABELS[each] for each in found], dtype=bool)


def adherence(base: Base, bundle: Bundle, profile: Profile, rules: Rules, spec: DriftSpec) -> Adherence:
    """Return how far a base keeps to that of the champion's training."""
    scores = bundle.score(base.features)
    psi = stability_index(profile.score, OrderedColumn.of(scores))
    labelled = None
    if base.fraud is not None:
        labelled = _labelled(base, base.fraud, scores, bundle, rules)
    reasons = [f"stability index of the score {psi:.2f} ({spec.score_max:g})"] if psi > spec.score_max else []
    reasons += _worse(labelled) if labelled else []
    outcome: Literal["ADHERES", "DEPARTS"] = "DEPARTS" if reasons else "ADHERES"
    return Adherence(outcome, reasons, bundle.version, len(scores), psi, _inputs(base, profile), labelled)


def _inputs(base: Base, profile: Profile) -> dict[str, float]:
    found = {}
    for name, column in profile.features.items():
        values = base.features[:, FEATURE_NAMES.index(name)]
        present = values[~np.isnan(values)]
        counts = np.bincount(bin_of(present, column.edges), minlength=len(column.edges) + 1)
        own = Histogram(column.edges, len(values) - len(present), counts.tolist())
        found[name] = moved(own, of_profile(column), effects_on(column.edges, column))
    farthest = sorted(found, key=lambda name: -found[name])[:_LISTED]
    return {name: found[name] for name in farthest}


def _labelled(
    base: Base, fraud: NDArray[np.bool_], scores: NDArray[np.float64], bundle: Bundle, rules: Rules
) -> LabelledFigures:
    sides = bundle.thresholds
    hold = np.where(base.by_payee, sides.payee.hold, sides.payer.hold)
    alerted = (scores >= hold) | (rules.apply(base.features).severity > Decision.APPROVE)
    losses = log_losses(scores, fraud)
    trained = bundle.manifest.metrics
    return LabelledFigures(
        int(fraud.sum()),
        _interval(losses.mean(), np.random.default_rng(0).normal(losses.mean(), _error(losses), _RESAMPLES)),
        _f1(alerted, fraud),
        trained.get("log_loss"),
        trained.get("f1"),
        _share(trained),
    )


def _error(losses: NDArray[np.float64]) -> float:
    return float(losses.std() / np.sqrt(len(losses)))


def _f1(alerted: NDArray[np.bool_], fraud: NDArray[np.bool_]) -> Estimate:
    """Return F1 by a bootstrap over the four kinds of rows."""
    kinds = np.bincount(2 * alerted + fraud, minlength=4)
    drawn = np.random.default_rng(0).multinomial(kinds.sum(), kinds / kinds.sum(), _RESAMPLES)
    return _interval(float(_harmonic(kinds[np.newaxis])[0]), _harmonic(drawn))


def _harmonic(kinds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of numbers of rows [n, 4]: passed legitimate, passed fraud, alerted legitimate, alerted fraud."""
    wrong = kinds[:, 1] + kinds[:, 2]
    found: NDArray[np.float64] = 2 * kinds[:, 3] / np.maximum(2 * kinds[:, 3] + wrong, 1)
    return found


def _interval(value: float, samples: NDArray[np.float64]) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail]).tolist()
    return Estimate(float(value), Interval(low, high))


def _share(trained: Mapping[str, float]) -> float | None:
    return trained["frauds"] / trained["pix"] if trained.get("pix") and "frauds" in trained else None


def _worse(found: LabelledFigures) -> list[str]:
    """Return which figures are worse than in training, beyond chance."""
    worse = []
    if found.trained_log_loss is not None and found.log_loss.interval.low > found.trained_log_loss:
        worse.append(f"log loss {found.log_loss.value:.4f} ({found.trained_log_loss:.4f} in training)")
    if found.trained_f1 is not None and found.f1.interval.high < found.trained_f1:
        worse.append(f"F1 {found.f1.value:.3f} ({found.trained_f1:.3f} in training)")
    return worse
