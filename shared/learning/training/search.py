"""Search the candidates' parameters by forward chaining within the training period."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from shared.errors import Misconfigured
from shared.learning.config import CandidateSpec, Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import Fold, embargo_of, folds
from shared.learning.errors import FitFailed, NothingToDo
from shared.learning.ports import ReportProgress, Trial
from shared.learning.training.space import first_point, grid_points, suggest
from shared.learning.training.train import LabelledRows, build, fit, informative_columns, raw_scores, recent_rows

log = logging.getLogger(__name__)

_PERCENTILE_KEPT = (
    33.0  # percentile: late trials are all near the best, and a stricter choice than the median halves the time
)


_STATES = {
    "COMPLETE": optuna.trial.TrialState.COMPLETE,
    "PRUNED": optuna.trial.TrialState.PRUNED,
    "FAILED": optuna.trial.TrialState.FAIL,
}


class FoldData(NamedTuple):
    """Examples of one fold, in memory for all trials; `weight` [n] says how many Pix a validated row stands for."""

    train: LabelledRows
    validation: LabelledRows
    weight: NDArray[np.float64]


def search(
    data: Dataset, period: slice, config: Config, on_trial: Callable[[Trial], None], report_progress: ReportProgress
) -> list[Trial]:
    """Return what was tried, the best first; `on_trial` receives every trial as it ends.

    Each candidate's own parameters come first, then what the method suggests. A trial goes on after a fold if
    it is then among the better third of all, or if it is one of those first ones. Raises NothingToDo, Misconfigured.
    """
    for candidate in config.candidates:
        build(candidate.family, candidate.params, config.seed)
    study, trials = _study(config)
    material = fold_data(data, period, config)
    tried: list[Trial] = []
    for number in range(trials):
        report_progress(number, trials, _best_so_far(tried))
        optuna_trial = study.ask()
        pruned = optuna_trial.should_prune if number >= len(config.candidates) else _never
        tried.append(
            _run_trial(optuna_trial, *suggest(optuna_trial, config.candidates), material, config.seed, pruned)
        )
        study.tell(optuna_trial, tried[-1].average_precision, _STATES[tried[-1].state])
        on_trial(tried[-1])
    if not any(trial.state == "COMPLETE" for trial in tried):
        raise Misconfigured(f"none of {len(tried)} trials could be fitted; the first failed with {tried[0].params}")
    return leaderboard(tried)


def leaderboard(tried: Sequence[Trial]) -> list[Trial]:
    """Return trials by average precision, best first, and those without one last."""
    return sorted(tried, key=lambda trial: (-(trial.average_precision or 0.0), trial.state, trial.number))


def fold_data(data: Dataset, period: slice, config: Config) -> list[FoldData]:
    """Return the folds of a period. Raises NothingToDo if none of them has frauds on both sides."""
    at = data.initiated_at[period]
    found = folds(at, config.search.folds, embargo_of(data.initiated_at, config.split))
    usable = [fold for fold in found if _both_classes(data.fraud[period], fold)]
    if not usable:
        raise NothingToDo("no fold of the training period holds frauds to learn from and frauds to validate on")
    return [_fold_data(data, period.start, fold, config) for fold in usable]


def _study(config: Config) -> tuple[optuna.Study, int]:
    """Return a study whose queue holds what is tried first, and how many trials there will be."""
    spec, seed = config.search, config.seed
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = (
        optuna.samplers.TPESampler(seed=seed)
        if spec.method == "bayesian"
        else optuna.samplers.RandomSampler(seed=seed)
    )
    pruner = optuna.pruners.PercentilePruner(_PERCENTILE_KEPT, n_startup_trials=len(config.candidates))
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    queue = [first_point(candidate) for candidate in config.candidates]
    if spec.method == "grid":
        queue += grid_points(config.candidates, spec.grid_points, seed)
    for point in queue[: spec.trials]:
        study.enqueue_trial(point)
    return study, min(spec.trials, len(queue)) if spec.method == "grid" else spec.trials


def _run_trial(
    optuna_trial: optuna.Trial,
    candidate: CandidateSpec,
    params: Mapping[str, Any],
    material: Sequence[FoldData],
    seed: int,
    should_prune: Callable[[], bool],
) -> Trial:
    """Return what a trial found, fold by fold."""
    start, reached = time.perf_counter(), list[float]()

    def trial(state: Any) -> Trial:
        mean = float(np.mean(reached)) if state == "COMPLETE" else None
        seconds = time.perf_counter() - start
        return Trial(
            optuna_trial.number, candidate.name, candidate.family, dict(params), mean, reached, seconds, state
        )

    try:
        for k, fold in enumerate(material):
            reached.append(_average_precision(candidate, params, fold, seed))
            optuna_trial.report(float(np.mean(reached)), k)
            if k + 1 < len(material) and should_prune():
                return trial("PRUNED")
    except FitFailed as error:
        fields = {"candidate": candidate.name, "trial": optuna_trial.number, "reason": str(error)}
        log.warning("trial failed", extra={"fields": fields})
        return trial("FAILED")
    return trial("COMPLETE")


def _average_precision(candidate: CandidateSpec, params: Mapping[str, Any], fold: FoldData, seed: int) -> float:
    model = fit(candidate.family, params, fold.train, seed)
    scores = raw_scores(model, fold.validation.features)
    return float(average_precision_score(fold.validation.fraud, scores, sample_weight=fold.weight))


def _fold_data(data: Dataset, start: int, fold: Fold, config: Config) -> FoldData:
    """Return a fold's examples, thinned on both sides; validated rows weigh for those left out."""
    train = start + training_rows(data, slice(start, start + fold.train.stop), config, config.search.rows_max)
    period = slice(start + fold.validation.start, start + fold.validation.stop)
    validated, weight = _validation_rows(data, period, config)
    columns = informative_columns(data.features, train)
    return FoldData(
        LabelledRows(data.take(train, columns), data.fraud[train]),
        LabelledRows(np.ascontiguousarray(data.take(validated, columns)), data.fraud[validated]),
        weight,
    )


def training_rows(data: Dataset, period: slice, config: Config, rows_max: int | None = None) -> NDArray[np.intp]:
    """Return which rows of a period to train on, counted from its start."""
    at, fraud = data.initiated_at[period], data.fraud[period]
    return recent_rows(at, fraud, config.half_life_days, config.seed, rows_max)


def _validation_rows(data: Dataset, period: slice, config: Config) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return rows of a period, all frauds among them, and how many Pix each stands for."""
    fraud = data.fraud[period]
    kept = recent_rows(data.initiated_at[period], fraud, math.inf, config.seed, config.search.rows_max)
    weight = data.weight[period][kept]
    weight[~fraud[kept]] *= (~fraud).sum() / (~fraud[kept]).sum()
    return period.start + kept, weight


def _both_classes(fraud: NDArray[np.bool_], fold: Fold) -> bool:
    return all(0 < fraud[part].sum() < part.stop - part.start for part in fold)


def _best_so_far(tried: Sequence[Trial]) -> str:
    best = max((trial.average_precision or 0.0 for trial in tried), default=0.0)
    return f"best {best:.3f}" if best else ""


def _never() -> bool:
    return False
