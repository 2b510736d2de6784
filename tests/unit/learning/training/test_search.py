"""The search for parameters: budget, reproducible trials, pruning and folds."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.errors import Misconfigured
from shared.learning import config
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.errors import NothingToDo
from shared.learning.ports import Trial
from shared.learning.specs.search import CandidateSpec, ParameterRange
from shared.learning.training.search import fold_data, search
from tests.unit.learning.rows import LINEAR, TREE, SearchMethod, searching, training_set

DATA = training_set()
EVERY = slice(0, 1_600)


def run(settings: Config, data: Dataset = DATA) -> list[Trial]:
    """Return the trials in the order in which they ended."""
    ended: list[Trial] = []
    ranked = search(data, EVERY, settings, ended.append, lambda *_: None)
    assert sorted(ranked, key=lambda trial: trial.number) == ended
    return ended


def in_space(trial: Trial) -> bool:
    space = {"tree": TREE, "linear": LINEAR}[trial.candidate].search
    return all(
        values.low <= trial.params[name] <= values.high
        if isinstance(values, ParameterRange)
        else trial.params[name] in values
        for name, values in space.items()
    )


@pytest.mark.parametrize("method", ["grid", "random", "bayesian"])
def test_every_method_keeps_budget_and_space_and_starts_with_defaults(
    method: SearchMethod,
) -> None:
    trials = run(searching(method, trials=14))
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len(trials) == (12 if method == "grid" else 14)  # 3 x 2 and 2 x 2 points, and each candidate's own
    assert [trial.params for trial in trials[:2]] == [TREE.params, LINEAR.params]
    assert all(in_space(trial) for trial in trials)
    assert {trial.candidate for trial in trials} == {"tree", "linear"}
    assert all(type(trial.params["min_samples_leaf"]) is int for trial in trials if trial.candidate == "tree")
    distinct = {msgspec.json.encode([trial.candidate, trial.params]) for trial in trials}
    assert len(distinct) > 8


def test_budget_below_the_number_of_candidates_is_kept() -> None:
    assert [trial.candidate for trial in run(searching(trials=1))] == ["tree"]


@pytest.mark.parametrize("method", ["grid", "random", "bayesian"])
def test_the_same_seed_gives_the_same_trials(method: SearchMethod) -> None:
    first, second = (
        [msgspec.structs.replace(trial, seconds=0.0) for trial in run(searching(method))] for _ in range(2)
    )
    assert first == second


def test_trials_asked_for_together_keep_the_budget_and_do_not_depend_on_the_others() -> None:
    settings = searching("random", 9)
    together = msgspec.structs.replace(settings, search=msgspec.structs.replace(settings.search, at_once=4))
    assert [trial.number for trial in run(together)] == list(range(9))
    assert [trial.params for trial in run(together)] == [trial.params for trial in run(settings)]


def test_leaderboard_is_best_first_with_incomplete_trials_last() -> None:
    ranked = search(DATA, EVERY, searching("random", 12), lambda _: None, lambda *_: None)
    complete = [trial.average_precision for trial in ranked if trial.state == "COMPLETE"]
    assert complete == sorted(complete, reverse=True)
    assert len(complete) >= 2
    assert [trial.state == "COMPLETE" for trial in ranked] == sorted(
        (trial.state == "COMPLETE" for trial in ranked), reverse=True
    )
    assert all(trial.average_precision == pytest.approx(np.mean(trial.folds)) for trial in ranked[: len(complete)])


def test_poor_trial_is_pruned_after_the_first_fold() -> None:
    stump = CandidateSpec("stump", "decision_tree", {"max_depth": 1})
    trials = run(msgspec.structs.replace(searching("random", 30), candidates=[TREE, LINEAR, stump]))
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    assert pruned
    assert all(len(trial.folds) == 1 and trial.average_precision is None for trial in pruned)
    assert all(trial.state == "COMPLETE" for trial in trials[:3])


def test_trial_that_cannot_be_fitted_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    odd = CandidateSpec("odd", "logistic_regression", {"C": -1.0})
    with caplog.at_level(logging.WARNING):
        trials = run(msgspec.structs.replace(searching(trials=6), candidates=[odd, TREE]))
    assert {trial.state for trial in trials if trial.candidate == "odd"} == {"FAILED"}
    assert any(trial.state == "COMPLETE" for trial in trials)
    assert "trial failed" in caplog.messages
    with pytest.raises(Misconfigured, match="none of 3 trials"):
        run(msgspec.structs.replace(searching(trials=3), candidates=[odd]))


def test_model_that_does_not_converge_completes_its_trial() -> None:
    hasty = CandidateSpec("hasty", "neural_network", {"max_iter": 1, "hidden_layer_sizes": [4]})
    assert run(msgspec.structs.replace(searching(trials=1), candidates=[hasty]))[0].state == "COMPLETE"


def test_shuffled_labels_give_no_better_than_chance() -> None:
    shuffled = dataclasses.replace(DATA, fraud=np.random.default_rng(1).permutation(DATA.fraud))
    chance = float(np.mean(DATA.fraud))
    assert max(trial.average_precision or 0 for trial in run(searching(), shuffled)) < 3 * chance
    assert max(trial.average_precision or 0 for trial in run(searching())) > 6 * chance


def test_sampled_validation_rows_weigh_for_their_whole_fold() -> None:
    weighted = dataclasses.replace(DATA, weight=np.where(DATA.fraud, 1.0, 5.0))
    whole = fold_data(weighted, EVERY, searching())
    few = fold_data(weighted, EVERY, with_rows(searching(), 100))
    for all_rows, thinned in zip(whole, few, strict=True):
        assert len(thinned.weight) == max(100, 2 * thinned.validation.fraud.sum())
        assert thinned.validation.fraud.sum() == all_rows.validation.fraud.sum()
        assert thinned.weight.sum() == pytest.approx(all_rows.weight.sum())
        wanted = max(100, 2 * thinned.train.fraud.sum())
        assert wanted <= len(thinned.train.fraud) <= wanted + 9  # rounded up in each week
        assert thinned.train.fraud.sum() == all_rows.train.fraud.sum()


def test_a_column_that_drawing_leaves_without_values_fails_no_trial() -> None:
    features = DATA.features.copy(order="F")
    features[:, 5] = np.nan
    features[np.flatnonzero(~DATA.fraud)[::200], 5] = 1.0
    params = {"max_iter": 5, "legitimate_per_fraud": 1}
    few = CandidateSpec("few", "hist_gradient_boosting", params)
    settings = msgspec.structs.replace(searching(trials=1), candidates=[few])
    assert run(settings, dataclasses.replace(DATA, features=features))[0].state == "COMPLETE"


def test_training_rows_of_a_fold_are_older_than_its_validation_rows() -> None:
    dated = np.asfortranarray(DATA.features)
    dated[:, 0] = np.arange(len(dated))
    for fold in fold_data(dataclasses.replace(DATA, features=dated), EVERY, searching()):
        assert fold.train.features[:, 0].max() < fold.validation.features[:, 0].min()
        assert fold.validation.features[:, 0].max() < EVERY.stop


def test_period_without_a_usable_fold_is_nothing_to_do() -> None:
    early = dataclasses.replace(DATA, fraud=np.arange(len(DATA.fraud)) < 50)
    with pytest.raises(NothingToDo, match="no fold"):
        fold_data(early, EVERY, searching())


def with_rows(settings: Config, rows_max: int) -> Config:
    return msgspec.structs.replace(settings, search=msgspec.structs.replace(settings.search, rows_max=rows_max))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"C": 50}}, "not in its search space"),
        ({"params": {}}, "C is searched but missing"),
        ({"search": {"C": []}}, "not in its search space"),
        ({"search": {"C": {"low": 2.0, "high": 1.0}}}, "not in its search space"),
    ],
)
def test_candidate_parameters_outside_the_search_space_are_refused(changes: dict[str, Any], message: str) -> None:
    candidate = {
        "name": "it",
        "family": "logistic_regression",
        "params": {"C": 1.0},
        "search": {"C": {"low": 0.1, "high": 2.0}},
    }
    msgspec.convert(candidate, CandidateSpec)
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(candidate | changes, CandidateSpec)


def test_two_candidates_of_the_same_name_are_misconfigured(tmp_path: Path) -> None:
    settings = msgspec.to_builtins(searching())
    settings["candidates"][1]["name"] = "tree"
    file = tmp_path / "config.yaml"
    file.write_bytes(msgspec.yaml.encode(settings))
    with pytest.raises(Misconfigured, match="same name"):
        config.load(file)
