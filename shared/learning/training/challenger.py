"""Train challengers: one in full, from a search, and one by continuing the champion's model on new rows."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.learning.config import Config, TrainingMode
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import Split
from shared.learning.errors import CannotContinue, ExportFailed, FitFailed, NothingToDo
from shared.learning.ports import StepProgress, Trial
from shared.learning.specs.search import AllRowsCandidate, ModelFamily
from shared.learning.training import calibrate
from shared.learning.training.amounts import AmountWeights, amount_factors
from shared.learning.training.engine import HERE, AllRows, Grow, TrainingEngine
from shared.learning.training.explaining.background import background
from shared.learning.training.export import onnx_bytes, onnx_scores, require_parity
from shared.learning.training.families.grown import GROWN_AS
from shared.learning.training.incremental import ChampionModel, continue_training
from shared.learning.training.packing import BundleParts, pack
from shared.learning.training.search import search
from shared.learning.training.thresholds import ThresholdRows, thresholds_by_side
from shared.learning.training.train import (
    Fitted,
    drawn_rows,
    fit,
    informative_columns,
    labelled_rows,
    per_fraud,
    raw_scores,
)
from shared.scoring.rules import Rules, by_payee
from shared.scoring.thresholds import SideThresholds

log = logging.getLogger(__name__)


class Recipe(NamedTuple):
    """How a model was fitted: the name of its candidate, family, mode, and the fit on any period of the data.

    `candidate` is the name in the configuration, or the champion's version if it was continued. `fit` raises
    FitFailed, CannotContinue.
    """

    candidate: str
    family: ModelFamily
    mode: TrainingMode
    fit: Callable[[slice], Fitted]


class Challenger(NamedTuple):
    """A trained model and its bundle's files, without the manifest.

    `raw` [n] are the uncalibrated scores of the rows from the calibration period on. `parity` is the largest
    difference between trained and served scores, `average_precision` is on the calibration period, and
    `microseconds` is the time of ONNX for one row of a large batch on this machine.
    """

    recipe: Recipe
    parts: BundleParts
    files: dict[str, bytes]
    raw: NDArray[np.float64]
    parity: float
    average_precision: float
    microseconds: float


class TrainedChallengers(NamedTuple):
    """Challengers, the full training first, and the trials of the search, best first (none without a search)."""

    challengers: list[Challenger]
    leaderboard: list[Trial]


class _FittedModel(NamedTuple):
    recipe: Recipe
    fitted: Fitted
    average_precision: float


def train_challengers(
    data: Dataset,
    split: Split,
    rules: Rules,
    config: Config,
    champion: ChampionModel | None,
    step: StepProgress,
    on_trial: Callable[[Trial], None],
    engine: TrainingEngine = HERE,
) -> TrainedChallengers:
    """Return a challenger for each mode of the configuration that is possible; `on_trial` receives each trial.

    Raises ExportFailed, Misconfigured, FitFailed, and NothingToDo if no mode is possible.
    """
    fitted, leaderboard, obstacle = [], list[Trial](), "there is none that can be read"
    if "full" in config.modes:
        best, leaderboard = _full(data, split, config, step, on_trial, engine)
        fitted.append(best)
    if "incremental" in config.modes and champion:
        try:
            with step("continue the champion"):
                fitted.append(_incremental(data, split, config, champion))
        except CannotContinue as error:
            obstacle = str(error)
            log.info("no incremental update", extra={"fields": {"version": champion.version, "reason": obstacle}})
    if not fitted:
        raise NothingToDo(f"full training is not among the modes, and no champion can be continued: {obstacle}")
    return TrainedChallengers([_challenger(one, data, split, rules, config, step) for one in fitted], leaderboard)


def _full(
    data: Dataset,
    split: Split,
    config: Config,
    step: StepProgress,
    on_trial: Callable[[Trial], None],
    engine: TrainingEngine,
) -> tuple[_FittedModel, list[Trial]]:
    """Return the finalist that is best on the calibration period, which no trial has seen, and the leaderboard."""
    with step("search") as report_progress:
        leaderboard = search(data, split.train, config, on_trial, report_progress, engine.evaluator)
    finals = []
    for trial in finalists(leaderboard):
        recipe = Recipe(trial.candidate, trial.family, "full", functools.partial(_fit_trial, data, config, trial))
        with step(f"fit {trial.candidate}"):
            finals.append(_fitted(recipe, data, split))
    if engine.grow is not None:
        finals += _grown(data, split, config, step, engine.grow)
    return max(finals, key=lambda one: one.average_precision), leaderboard


def _grown(data: Dataset, split: Split, config: Config, step: StepProgress, grow: Grow) -> list[_FittedModel]:
    """Return the candidates that an engine fits to all rows, without those that it cannot fit."""
    found = []
    for candidate in config.all_rows:
        recipe = Recipe(
            candidate.name,
            GROWN_AS[candidate.family],
            "full",
            functools.partial(_fit_all_rows, data, config, grow, candidate),
        )
        try:
            with step(f"fit {candidate.name} to all rows"):
                found.append(_fitted(recipe, data, split))
        except (FitFailed, ExportFailed) as error:
            log.warning("candidate left out", extra={"fields": {"candidate": candidate.name, "reason": str(error)}})
    return found


def _fit_all_rows(data: Dataset, config: Config, grow: Grow, candidate: AllRowsCandidate, period: slice) -> Fitted:
    """Return a model fitted to all rows of a period, those of the sample among them."""
    since, until = (int(data.initiated_at[place]) for place in (period.start, period.stop - 1))
    rates, weight_max = data.quality.representation.rates, config.dataset.label_weight_max
    amounts = AmountWeights.of(data.amount[period], data.fraud[period], config.fraud_amount_power)
    grown = grow(candidate, AllRows(data.names, since, until, rates, weight_max, amounts), config.seed)
    return Fitted(grown.model, grown.columns, np.arange(period.start, period.stop))


def _fit_trial(data: Dataset, config: Config, trial: Trial, period: slice) -> Fitted:
    """Return a trial's model, fitted to a period."""
    share = per_fraud(trial.params)
    at, fraud = data.initiated_at[period], data.fraud[period]
    factors = amount_factors(data.amount[period], fraud, config.fraud_amount_power)
    drawn = drawn_rows(at, fraud, share, config.seed, data.label_weight[period]).times(factors).after(period.start)
    columns = informative_columns(data.features, drawn.rows)
    train = labelled_rows(data.take(drawn.rows, columns), data.fraud[drawn.rows], drawn)
    return Fitted(fit(trial.family, trial.params, train, config.seed), columns, drawn.rows)


def finalists(leaderboard: Sequence[Trial]) -> list[Trial]:
    """Return each candidate's best complete trial, if within one standard error of the best trial over all folds.

    Folds are too few to separate such trials, so they are fitted in full and compared on the calibration period.
    Source: Breiman et al., Classification and Regression Trees, 1984, 3.4.3 (the one standard error rule).

    >>> def tried(number, name, folds):
    ...     return Trial(number, name, "decision_tree", {}, sum(folds) / 2, folds, 1.0, "COMPLETE")
    >>> ranked = [tried(0, "a", [0.7, 0.5]), tried(1, "a", [0.6, 0.5]), tried(2, "b", [0.6, 0.44]),
    ...           tried(3, "c", [0.5, 0.3])]
    >>> [trial.number for trial in finalists(ranked)]
    [0, 2]
    """
    best: dict[str, tuple[float, Trial]] = {}
    for trial in leaderboard:
        if trial.state == "COMPLETE" and trial.average_precision is not None:
            best.setdefault(trial.candidate, (trial.average_precision, trial))
    top, first = next(iter(best.values()))
    error = float(np.std(first.folds, ddof=1)) / math.sqrt(len(first.folds)) if len(first.folds) > 1 else 0.0
    return [trial for reached, trial in best.values() if reached >= top - error]


def _incremental(data: Dataset, split: Split, config: Config, champion: ChampionModel) -> _FittedModel:
    continued = functools.partial(continue_training, champion, data, config)
    return _fitted(Recipe(champion.version, champion.family, "incremental", continued), data, split)


def _fitted(recipe: Recipe, data: Dataset, split: Split) -> _FittedModel:
    fitted = recipe.fit(split.train)
    return _FittedModel(recipe, fitted, _average_precision(fitted, data, split.calibration))


def _average_precision(fitted: Fitted, data: Dataset, period: slice) -> float:
    scores = raw_scores(fitted.model, data.features[period, fitted.columns])
    return float(average_precision_score(data.fraud[period], scores, sample_weight=data.weight[period]))


def _challenger(
    final: _FittedModel, data: Dataset, split: Split, rules: Rules, config: Config, step: StepProgress
) -> Challenger:
    """Export and calibrate a model, set its thresholds, and assemble its files."""
    (model, columns, _), mode = final.fitted, final.recipe.mode
    names = [data.names[j] for j in columns]
    recent = np.ascontiguousarray(data.features[split.calibration.start :, columns])
    calibration_rows = slice(0, split.calibration.stop - split.calibration.start)  # of `recent`
    with step(f"export and parity, {mode}"):
        exported = onnx_bytes(model, len(names))
        start = time.perf_counter()
        raw = onnx_scores(exported, recent)
        microseconds = (time.perf_counter() - start) / len(recent) * 1e6
        parity = require_parity(model, recent, raw)
    with step(f"calibrate and set thresholds, {mode}"):
        own = split.calibration
        calibration = calibrate.fit_calibration(
            raw[calibration_rows], data.fraud[own], data.weight[own], data.pix[own], config.calibrations
        )
        scores = calibrate.apply(calibration, raw[calibration_rows])
        thresholds = _thresholds(data, split, scores, rules, config)
        parts = BundleParts(model, exported, names, calibration, thresholds, background(data, split.train, columns))
    with step(f"assemble the bundle, {mode}"):
        files = pack(parts, recent, config.seed)
    return Challenger(final.recipe, parts, files, raw, parity, final.average_precision, microseconds)


def _thresholds(
    data: Dataset, split: Split, scores: NDArray[np.float64], rules: Rules, config: Config
) -> SideThresholds:
    """Return the thresholds of each side that have the least expected cost on the calibration period.

    Costs are expected ones, by the calibrated scores instead of the labels. A period holds only some hundred frauds,
    and the labels of a few large ones would set the thresholds: between seeds of one model, the cost on the test
    period varied by 12 % with labels and by 3 % with expected costs.
    """
    period = split.calibration
    features = data.features[period]
    rows = ThresholdRows(
        scores,
        data.fraud[period],
        data.amount[period],
        data.initiated_at[period],
        data.weight[period],
        rules.apply(features).severity,
        by_payee(features),
    )
    return thresholds_by_side(rows, config.costs, config.gate.segment_frauds_min)
