"""Search the candidates' parameters by forward-chaining validation within the training period."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from shared.errors import Misconfigured
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import Fold, folds, lengths
from shared.learning.errors import NothingToDo
from shared.learning.ports import ReportProgress, Trial
from shared.learning.training.amounts import amount_factors
from shared.learning.training.evaluation import Attempt, Evaluate, FoldData, FoldScore, evaluate_here
from shared.learning.training.space import first_point, grid_points, suggest
from shared.learning.training.train import Drawn, LabelledRows, build, drawn_rows, informative_columns

log = logging.getLogger(__name__)

# Percentile: late trials are all near the best, and pruning below the median would take twice the time.
_PERCENTILE_KEPT = 33.0
_STATES = {
    "COMPLETE": optuna.trial.TrialState.COMPLETE,
    "PRUNED": optuna.trial.TrialState.PRUNED,
    "FAILED": optuna.trial.TrialState.FAIL,
}


def search(
    data: Dataset,
    period: slice,
    config: Config,
    on_trial: Callable[[Trial], None],
    report_progress: ReportProgress,
    evaluator: Callable[[Sequence[FoldData], int], Evaluate] = evaluate_here,
) -> list[Trial]:
    """Return the trials, best first; `on_trial` receives each trial as it ends.

    The first trials are the candidates' own parameters, one each, and are never pruned; the method chooses the
    others, `search.at_once` at a time, which are pruned after a fold unless their mean so far is in the best third.
    `evaluator` is given the folds and the seed; the trials do not depend on where it fits them.
    Sources: Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011 (`bayesian`); Bergstra and
    Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012 (`random`).
    Raises NothingToDo, and Misconfigured if a parameter is unknown or no trial could be fitted.
    """
    for candidate in config.candidates:  # an unknown parameter must fail now, not after the first trials
        build(candidate.family, candidate.params, config.seed)
    study, count = _study(config)
    evaluate = evaluator(fold_data(data, period, config), config.seed)
    trials: list[Trial] = []
    for numbers in _batches(count, len(config.candidates), config.search.at_once):
        asked = [study.ask() for _ in numbers]
        attempts = [Attempt(*suggest(one, config.candidates)) for one in asked]
        for one, attempt, scores in zip(asked, attempts, evaluate(attempts), strict=True):
            report_progress(one.number, count, _best_so_far(trials))
            should_prune = one.should_prune if one.number >= len(config.candidates) else _never
            trial = _trial(one, attempt, scores, should_prune)
            trials.append(trial)
            study.tell(one, trial.average_precision, _STATES[trial.state])
            on_trial(trial)
    if not any(trial.state == "COMPLETE" for trial in trials):
        raise Misconfigured(f"none of {len(trials)} trials could be fitted; the first failed with {trials[0].params}")
    return leaderboard(trials)


def leaderboard(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials by average precision, best first; pruned and failed trials come last."""
    return sorted(trials, key=lambda trial: (-(trial.average_precision or 0.0), trial.state, trial.number))


def fold_data(data: Dataset, period: slice, config: Config) -> list[FoldData]:
    """Return the folds of a period that have both classes on both sides. Raises NothingToDo if there are none."""
    at = data.initiated_at[period]
    chain = folds(at, config.search.folds, lengths(data.initiated_at, config.split).embargo)
    usable = [fold for fold in chain if _both_classes(data.fraud[period], fold)]
    if not usable:
        raise NothingToDo("no fold of the training period has frauds both to train on and to validate on")
    return [_fold_data(data, period.start, fold, config) for fold in usable]


def _study(config: Config) -> tuple[optuna.Study, int]:
    """Return a study with the first trials in its queue, and the number of trials to run.

    A grid is queued as a whole, and its sampler, which could only repeat points, is never used.
    """
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


def _batches(count: int, first: int, size: int) -> Iterator[range]:
    """Yield the numbers of trials asked for together: the candidates' own, which no result changes, then `size`.

    >>> list(_batches(8, 3, 2))
    [range(0, 3), range(3, 5), range(5, 7), range(7, 8)]
    """
    start = 0
    while start < count:
        stop = min(start + size if start else max(first, 1), count)
        yield range(start, stop)
        start = stop


def _trial(
    asked: optuna.Trial, attempt: Attempt, scores: Iterator[FoldScore], should_prune: Callable[[], bool]
) -> Trial:
    """Return the trial of the scores of one fold after the other, until it is pruned or fails."""
    candidate, params = attempt
    reached, seconds = list[float](), 0.0

    def trial(state: Any) -> Trial:
        mean = float(np.mean(reached)) if state == "COMPLETE" else None
        return Trial(asked.number, candidate.name, candidate.family, dict(params), mean, reached, seconds, state)

    for score in scores:
        seconds += score.seconds
        if score.average_precision is None:
            fields = {"candidate": candidate.name, "trial": asked.number, "reason": score.failure}
            log.warning("trial failed", extra={"fields": fields})
            return trial("FAILED")
        reached.append(score.average_precision)
        asked.report(float(np.mean(reached)), len(reached) - 1)
        if not score.last and should_prune():
            return trial("PRUNED")
    return trial("COMPLETE")


def _fold_data(data: Dataset, start: int, fold: Fold, config: Config) -> FoldData:
    """Return a fold's examples, sampled on both sides; weights of validation rows make up for those left out."""
    train, stands = _folded_rows(data, slice(start, start + fold.train.stop), config).after(start)
    validated, weight = _validation_rows(
        data, slice(start + fold.validation.start, start + fold.validation.stop), config
    )
    columns = informative_columns(data.features, train)
    return FoldData(
        LabelledRows(data.take(train, columns), data.fraud[train]),
        data.initiated_at[train],
        stands,
        amount_factors(data.amount[train], data.fraud[train], config.fraud_amount_power),
        LabelledRows(np.ascontiguousarray(data.take(validated, columns)), data.fraud[validated]),
        weight,
    )


def _folded_rows(data: Dataset, period: slice, config: Config) -> Drawn:
    """Return about `search.rows_max` rows to train on, whose indexes count from the start of a period."""
    fraud, weight = data.fraud[period], data.label_weight[period]
    spare = (config.search.rows_max - int(fraud.sum())) / max(float(weight[fraud].sum()), 1.0)
    return drawn_rows(data.initiated_at[period], fraud, max(spare, 1.0), config.seed, weight)


def _validation_rows(data: Dataset, period: slice, config: Config) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the indexes of the validation rows, all frauds among them, and the number of Pix each stands for.

    Legitimate rows are drawn from all of the period alike, not from the frauds' weeks: validation weighs every week.
    """
    fraud = data.fraud[period]
    frauds, legitimate = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    number = min(max(config.search.rows_max - len(frauds), len(frauds)), len(legitimate))
    drawn = np.random.default_rng(config.seed).choice(legitimate, number, replace=False)
    kept = np.sort(np.concatenate([frauds, drawn]))
    weight = data.weight[period][kept]
    weight[~fraud[kept]] *= len(legitimate) / number
    return period.start + kept, weight


def _both_classes(fraud: NDArray[np.bool_], fold: Fold) -> bool:
    return all(0 < fraud[part].sum() < part.stop - part.start for part in fold)


def _best_so_far(trials: Sequence[Trial]) -> str:
    best = max((trial.average_precision or 0.0 for trial in trials), default=0.0)
    return f"best {best:.3f}" if best else ""


def _never() -> bool:
    return False
