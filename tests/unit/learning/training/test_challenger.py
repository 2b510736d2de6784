"""Challengers of both modes, from the search to the bundle's files."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from shared.adapters.memory.serving import MemoryBlobs
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import Split
from shared.learning.errors import NothingToDo
from shared.learning.ports import Trial
from shared.learning.training.challenger import TrainedChallengers, finalists, train_challengers
from shared.learning.training.evaluation import Attempt, fold_score
from shared.learning.training.export import PARITY
from shared.learning.training.incremental import ChampionModel, read_champion_model
from shared.learning.training.packing import TRAINED_UNTIL, sealed
from shared.learning.training.search import fold_data
from shared.learning.training.train import raw_scores
from shared.scoring.bundle import Bundle, Manifest, path
from shared.scoring.rules import Rules
from tests.unit.learning.rows import LINEAR, TREE, searching, training_set
from tests.unit.learning.synthetic import silent

DATA = training_set()
DATA.features[:, 40:] = np.nan  # 1,200 rows with values of every feature are too few for a linear model
FIRST = Split(slice(0, 1_200), slice(1_250, 1_600), slice(1_650, 2_400))
SECOND = Split(slice(0, 1_700), slice(1_750, 2_050), slice(2_100, 2_400))
BOTH: Config = msgspec.structs.replace(searching(trials=4), candidates=[LINEAR, TREE], modes=["full", "incremental"])


def train(
    settings: Config, split: Split = FIRST, champion: ChampionModel | None = None, data: Dataset = DATA
) -> TrainedChallengers:
    return train_challengers(data, split, Rules.load(), settings, champion, silent, lambda _: None)


def champion_of(trained: TrainedChallengers) -> ChampionModel | None:
    """Return the first challenger as a later run reads it from the bucket."""
    until = float(DATA.initiated_at[FIRST.train.stop - 1] / 1e6)
    blobs = MemoryBlobs()
    manifest = Manifest("v1", "2026", {}, metrics={TRAINED_UNTIL: until})
    for name, data in sealed(trained.challengers[0].files, manifest).items():
        blobs.write(path("v1", name), data, 0)
    return read_champion_model(blobs, "v1", DATA.names)


def test_without_a_champion_there_is_one_challenger_with_a_valid_bundle() -> None:
    trained = train(BOTH)
    (one,) = trained.challengers
    assert (one.recipe.candidate, one.recipe.family, one.recipe.mode) == ("linear", "logistic_regression", "full")
    assert one.parity <= PARITY
    assert one.average_precision > 0.3
    assert one.microseconds > 0
    bundle = Bundle(sealed(one.files, Manifest("v1", "2026", {})))
    assert bundle.feature_names == list(one.parts.names)
    assert len(trained.leaderboard) == 4


def test_two_runs_give_the_same_bytes() -> None:
    first, second = (train(BOTH).challengers[0].files for _ in range(2))
    assert first == second


def test_with_a_champion_both_modes_give_a_valid_bundle() -> None:
    trained = train(BOTH, SECOND, champion_of(train(BOTH)))
    assert [one.recipe.mode for one in trained.challengers] == ["full", "incremental"]
    full, grown = trained.challengers
    assert grown.recipe.candidate == "v1"
    assert grown.files["model.onnx"] != full.files["model.onnx"]
    for one in trained.challengers:
        Bundle(sealed(one.files, Manifest("v2", "2026", {})))
        assert one.average_precision > 0.2


def test_only_configured_modes_are_trained() -> None:
    champion = champion_of(train(BOTH))
    only = train(msgspec.structs.replace(BOTH, modes=["incremental"]), SECOND, champion)
    assert [one.recipe.mode for one in only.challengers] == ["incremental"]
    assert only.leaderboard == []
    full = train(msgspec.structs.replace(BOTH, modes=["full"]), SECOND, champion)
    assert [one.recipe.mode for one in full.challengers] == ["full"]


def test_incremental_mode_without_a_champion_is_nothing_to_do() -> None:
    with pytest.raises(NothingToDo, match="there is none"):
        train(msgspec.structs.replace(BOTH, modes=["incremental"]))
    with pytest.raises(NothingToDo, match="0 frauds are new"):
        train(msgspec.structs.replace(BOTH, modes=["incremental"]), FIRST, champion_of(train(BOTH)))


def test_search_and_fit_do_not_depend_on_later_periods() -> None:
    features, fraud = DATA.features.copy(order="F"), DATA.fraud.copy()
    features[FIRST.train.stop :] = np.random.default_rng(9).normal(size=features[FIRST.train.stop :].shape)
    fraud[FIRST.train.stop :] = np.roll(fraud[FIRST.train.stop :], 100)
    other = train(BOTH, data=dataclasses.replace(DATA, features=features, fraud=fraud))
    one = train(BOTH)
    assert [(t.params, t.folds) for t in one.leaderboard] == [(t.params, t.folds) for t in other.leaderboard]
    assert one.challengers[0].files["model.onnx"] == other.challengers[0].files["model.onnx"]


def with_power(power: float) -> Config:
    return msgspec.structs.replace(BOTH, fraud_amount_power=power, modes=["full", "incremental"])


def of_amounts(small: float, large: float) -> Dataset:
    """Return the rows with the amount `large` where their first input is above zero, `small` elsewhere."""
    return dataclasses.replace(DATA, amount=np.where(DATA.features[:, 1] > 0, large, small))


@pytest.mark.parametrize("mode", [0, 1], ids=["full", "incremental"])
def test_a_model_learns_most_from_large_frauds(mode: int) -> None:
    data = of_amounts(10.0, 1_000.0)
    champion = champion_of(train(with_power(0)))
    large = DATA.fraud & (data.amount > 10)
    scores = []
    for power in (0.0, 1.0):
        one = train(with_power(power), SECOND, champion, data).challengers[mode]
        columns = [DATA.names.index(name) for name in one.parts.names]
        reached = raw_scores(one.parts.model, np.ascontiguousarray(DATA.features[:, columns]))
        scores.append(reached[large].mean() / reached[DATA.fraud & ~large].mean())
    assert scores[1] > 1.2 * scores[0]


def test_the_same_amounts_weigh_no_fraud_more() -> None:
    data = of_amounts(50.0, 50.0)
    found = [train(with_power(power), data=data).challengers[0].files["model.onnx"] for power in (0.0, 1.0)]
    assert found[0] == found[1]


def test_a_search_weighs_frauds_as_the_fit_does() -> None:
    data = of_amounts(10.0, 1_000.0)
    folds = [fold_data(data, FIRST.train, with_power(power))[0] for power in (0.0, 0.5)]
    assert set(folds[0].factors) == {1.0}
    fraud, large = folds[1].train.fraud, folds[1].train.features[:, 1] > 0
    assert set(folds[1].factors[~fraud]) == {1.0}
    ratio = folds[1].factors[fraud & large].mean() / folds[1].factors[fraud & ~large].mean()
    assert ratio == pytest.approx(10.0)
    assert folds[1].factors[fraud].mean() == pytest.approx(1.0)
    assert (
        fold_score(Attempt(TREE, TREE.params), [folds[0]], 0, 0).average_precision
        != fold_score(Attempt(TREE, TREE.params), [folds[1]], 0, 0).average_precision
    )


def test_finalists_are_within_one_standard_error_of_the_best_trial() -> None:
    def trial(number: int, candidate: str, folds: list[float]) -> Trial:
        return Trial(number, candidate, "decision_tree", {}, float(np.mean(folds)), folds, 1.0, "COMPLETE")

    failed = Trial(9, "d", "decision_tree", {}, None, [], 1.0, "FAILED")
    ranked = [trial(0, "a", [0.6, 0.5, 0.55]), trial(1, "b", [0.53, 0.53, 0.53]), trial(2, "c", [0.5, 0.5, 0.5])]
    assert [one.candidate for one in finalists([*ranked, failed])] == ["a", "b"]
    assert [one.candidate for one in finalists([trial(0, "a", [0.6]), trial(1, "b", [0.59])])] == ["a"]
