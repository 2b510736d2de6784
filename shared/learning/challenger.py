"""Train a challenger: candidates, the best of them, its calibration, its thresholds, its bundle files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.learning import calibrate
from shared.learning.config import CandidateSpec, Config
from shared.learning.costs import losses, with_rules
from shared.learning.dataset import Dataset
from shared.learning.export import onnx_bytes, onnx_scores, require_parity
from shared.learning.packing import Parts, pack
from shared.learning.policy import choose_thresholds
from shared.learning.split import Split
from shared.learning.train import Labelled, fit, informative_columns, raw_scores, recent_rows
from shared.scoring.bundle import Thresholds
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)

Step = Callable[[str], AbstractContextManager[None]]


class Challenger(NamedTuple):
    """A trained model and its bundle's files; `leaderboard` holds each candidate's average precision."""

    family: str
    parts: Parts
    files: dict[str, bytes]
    parity: float
    leaderboard: dict[str, float]


class _Fitted(NamedTuple):
    spec: CandidateSpec
    model: Any
    average_precision: float


def train_challenger(data: Dataset, split: Split, rules: Rules, config: Config, step: Step) -> Challenger:
    """Return the best candidate on the calibration period. Raises ExportFailed."""
    columns = informative_columns(data.features[split.train])
    names = [data.names[j] for j in columns]
    best, leaderboard = _best(data, split, columns, config, step)
    recent = np.ascontiguousarray(data.features[split.calibration.start :, columns])
    held = slice(0, split.calibration.stop - split.calibration.start)
    with step("export and parity"):
        exported = onnx_bytes(best.model, len(names))
        raw = onnx_scores(exported, recent)
        parity = require_parity(best.model, recent, raw)
    with step("calibrate and set thresholds"):
        calibration = calibrate.fit_calibration(raw[held], data.fraud[split.calibration])
        scores = calibrate.apply(calibration, raw[held])
        parts = Parts(best.model, exported, names, calibration, _thresholds(data, split, scores, rules, config))
    with step("assemble the bundle"):
        files = pack(parts, recent, config.seed)
    return Challenger(best.spec.name, parts, files, parity, leaderboard)


def _best(
    data: Dataset, split: Split, columns: NDArray[np.intp], config: Config, step: Step
) -> tuple[_Fitted, dict[str, float]]:
    period = split.train
    rows = recent_rows(data.initiated_at[period], data.fraud[period], config.half_life_days, config.seed)
    train = Labelled(data.take(period.start + rows, columns), data.fraud[period][rows])
    later = Labelled(data.features[split.calibration, columns], data.fraud[split.calibration])
    fitted = []
    for spec in config.candidates:
        with step(f"fit {spec.name}"):
            model = fit(spec, train, later, config.seed)
            found = float(average_precision_score(later.fraud, raw_scores(model, later.features)))
        log.info("candidate fitted", extra={"fields": {"candidate": spec.name, "average_precision": round(found, 4)}})
        fitted.append(_Fitted(spec, model, found))
    best = max(fitted, key=lambda candidate: candidate.average_precision)
    return best, {candidate.spec.name: candidate.average_precision for candidate in fitted}


def _thresholds(data: Dataset, split: Split, scores: NDArray[np.float64], rules: Rules, config: Config) -> Thresholds:
    """Return the thresholds of least expected cost.

    Expected, as a period holds some hundred frauds and the labels of a few large ones would set the thresholds: the
    cost on the test period then varied by 12 % between seeds of the same model, and varies by 3 % so.
    """
    period = split.calibration
    by_rule, _ = rules.apply(data.features[period])
    table = losses(scores, data.amount[period], config.costs)
    return choose_thresholds(scores, with_rules(table, by_rule), config.costs.review_share_max)
