"""Incremental updates of the champion's model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from shared.adapters.memory.serving import MemoryBlobs
from shared.learning.data.dataset import Dataset
from shared.learning.errors import CannotContinue
from shared.learning.specs.search import ModelFamily
from shared.learning.training.export import PARITY, onnx_bytes, onnx_scores, require_parity
from shared.learning.training.incremental import (
    ChampionModel,
    continue_training,
    read_champion_model,
    rows_to_continue_on,
)
from shared.learning.training.model_file import model_bytes, read_model
from shared.learning.training.packing import TRAINED_UNTIL
from shared.learning.training.train import LabelledRows, drawn_rows, fit, raw_scores
from shared.scoring.bundle import MANIFEST, Manifest, digest, path
from tests.unit.learning.rows import training_set
from tests.unit.learning.synthetic import QUICK
from tests.unit.log_records import fields

INPUTS = np.arange(1, 9)
OLD, PERIOD, LATER = slice(0, 2_000), slice(0, 3_500), slice(3_500, 4_000)
CONFIG = msgspec.structs.replace(QUICK, incremental_rounds=30)
SMALL: dict[ModelFamily, dict[str, Any]] = {
    "logistic_regression": {},
    "decision_tree": {"max_depth": 4},
    "random_forest": {"n_estimators": 20, "max_depth": 8},
    "hist_gradient_boosting": {"max_iter": 30, "min_samples_leaf": 10, "l2_regularization": 10.0},
    "neural_network": {"hidden_layer_sizes": [8], "max_iter": 40, "batch_size": 128},
}
ABLE = ["logistic_regression", "random_forest", "hist_gradient_boosting", "neural_network"]
can_continue = pytest.mark.parametrize("family", ABLE)


def drifted() -> Dataset:
    """Return rows whose kind of fraud and whose scale change after the first 2,000."""
    data, other = training_set(4_000), training_set(4_000, signal=(5, 6))
    new = np.arange(4_000) >= OLD.stop
    features = np.asfortranarray(np.where(new[:, None], 3 * other.features + 1, data.features))
    return dataclasses.replace(data, features=features, fraud=np.where(new, other.fraud, data.fraud))


DATA = drifted()


def champion(family: ModelFamily) -> ChampionModel:
    train = LabelledRows(np.asfortranarray(DATA.features[OLD, INPUTS]), DATA.fraud[OLD])
    names = [DATA.names[j] for j in INPUTS]
    until = int(DATA.initiated_at[OLD.stop - 1])
    return ChampionModel("v1", names, fit(family, SMALL[family], train, seed=0), family, until)


def average_precision(model: Any, period: slice) -> float:
    return float(average_precision_score(DATA.fraud[period], raw_scores(model, DATA.features[period, INPUTS])))


@can_continue
def test_update_learns_new_frauds_and_leaves_the_champion_unchanged(family: ModelFamily) -> None:
    before = champion(family)
    scores = raw_scores(before.model, DATA.features[:, INPUTS])
    grown, columns, _ = continue_training(before, DATA, CONFIG, PERIOD)
    assert columns.tolist() == INPUTS.tolist()
    assert average_precision(grown, LATER) > 2 * average_precision(before.model, LATER)
    np.testing.assert_array_equal(raw_scores(before.model, DATA.features[:, INPUTS]), scores)


@can_continue
def test_updated_model_exports_with_parity_and_is_read_as_its_family(family: ModelFamily) -> None:
    before = champion(family)
    grown, *_ = continue_training(before, DATA, CONFIG, PERIOD)
    unseen = np.ascontiguousarray(np.vstack([DATA.features[:, INPUTS], np.full((1, 8), np.nan, np.float32)]))
    assert require_parity(grown, unseen, onnx_scores(onnx_bytes(grown, 8), unseen)) <= PARITY
    opened = read_model(model_bytes(grown))
    assert type(opened) is type(before.model)
    np.testing.assert_array_equal(raw_scores(opened, unseen), raw_scores(grown, unseen))


@can_continue
def test_updates_can_be_repeated_and_are_reproducible(family: ModelFamily) -> None:
    bytes_of = []
    for _ in range(2):
        once, *_ = continue_training(champion(family), DATA, CONFIG, PERIOD)
        twice, *_ = continue_training(champion(family)._replace(model=once), DATA, CONFIG, PERIOD)
        bytes_of.append(onnx_bytes(twice, 8))
    assert bytes_of[0] == bytes_of[1] != onnx_bytes(once, 8)


def test_boosting_keeps_its_trees_and_their_bins() -> None:
    before = champion("hist_gradient_boosting").model
    grown, *_ = continue_training(champion("hist_gradient_boosting"), DATA, CONFIG, PERIOD)
    assert type(grown) is HistGradientBoostingClassifier
    assert grown.n_iter_ == 60
    for old, kept in zip(before._predictors, grown._predictors, strict=False):
        np.testing.assert_array_equal(old[0].nodes, kept[0].nodes)
    for old, kept in zip(before._bin_mapper.bin_thresholds_, grown._bin_mapper.bin_thresholds_, strict=True):
        np.testing.assert_array_equal(old, kept)


def test_a_forest_keeps_its_trees() -> None:
    before = champion("random_forest").model
    grown, *_ = continue_training(champion("random_forest"), DATA, CONFIG, PERIOD)
    assert len(grown[-1].estimators_) == 50
    for old, kept in zip(before[-1].estimators_, grown[-1].estimators_, strict=False):
        np.testing.assert_array_equal(old.tree_.threshold, kept.tree_.threshold)


def test_update_uses_all_new_rows_and_as_many_old_ones() -> None:
    until = int(DATA.initiated_at[2_999])
    before = champion("logistic_regression")._replace(trained_until=until)
    rows = rows_to_continue_on(DATA, PERIOD, before, CONFIG).rows
    new = DATA.initiated_at[rows] > until
    assert new.sum() == (DATA.initiated_at[PERIOD] > until).sum()
    assert new.sum() == (~new).sum()
    assert rows.max() < PERIOD.stop
    assert np.all(np.diff(rows) > 0)


@can_continue
def test_an_update_weighs_frauds_that_stand_for_many(family: ModelFamily) -> None:
    heavy = dataclasses.replace(DATA, label_weight=np.where(DATA.fraud, 5.0, 1.0))
    means = []
    for data in (DATA, heavy):
        grown, *_ = continue_training(champion(family), data, CONFIG, PERIOD)
        means.append(raw_scores(grown, DATA.features[LATER, INPUTS]).mean())
    assert means[1] > 1.2 * means[0]


def test_update_undersamples_at_the_rate_of_the_champion() -> None:
    drawn = drawn_rows(DATA.initiated_at[OLD], DATA.fraud[OLD], 4, seed=0).rows
    train = LabelledRows(np.asfortranarray(DATA.features[np.ix_(drawn, INPUTS)]), DATA.fraud[drawn])
    params = {"n_estimators": 10, "max_depth": 3, "bootstrap": False, "legitimate_per_fraud": 4}
    before = champion("random_forest")._replace(model=fit("random_forest", params, train, seed=0))
    opened = read_model(model_bytes(before.model))
    grown, *_ = continue_training(before._replace(model=opened), DATA, CONFIG, PERIOD)
    shares = [tree.tree_.value[0, 0, 1] for tree in grown[-1].estimators_]
    assert shares == pytest.approx([0.2] * 40, abs=0.01)


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("decision_tree", {}, "only be trained in full"),
        ("logistic_regression", {"trained_until": int(DATA.initiated_at[3_499])}, "0 frauds are new"),
        ("hist_gradient_boosting", {}, "grown to 980"),
    ],
)
def test_update_that_is_impossible_is_refused_with_a_reason(
    family: ModelFamily, changes: dict[str, Any], reason: str
) -> None:
    before = champion(family)._replace(**changes)
    if family == "hist_gradient_boosting":
        before.model._predictors.extend(before.model._predictors[:1] * 950)
    with pytest.raises(CannotContinue, match=reason):
        continue_training(before, DATA, CONFIG, PERIOD)


def stored(**changes: bytes | None) -> MemoryBlobs:
    """Return a bucket with a champion, some files replaced or (None) absent; the manifest has the new hashes."""
    one = champion("logistic_regression")
    files = {"model.skops": model_bytes(one.model), "features.json": msgspec.json.encode(one.names)}
    spoilt = {name.replace("_", "."): data for name, data in changes.items()}
    hashes = {name: digest(data) for name, data in (files | spoilt).items() if data and name != "manifest.json"}
    metrics = {TRAINED_UNTIL: one.trained_until / 1e6}
    files[MANIFEST] = msgspec.json.encode(Manifest("v1", "2026", hashes, metrics=metrics))
    blobs = MemoryBlobs()
    for name, data in (files | spoilt).items():
        if data is not None:
            blobs.write(path("v1", name), data, 0)
    return blobs


def test_champion_read_from_its_bundle_can_be_updated() -> None:
    read, one = read_champion_model(stored(), "v1", DATA.names), champion("logistic_regression")
    assert read[:2] == one[:2]
    assert read[3:] == one[3:]
    np.testing.assert_array_equal(
        raw_scores(read.model, DATA.features[:, INPUTS]), raw_scores(one.model, DATA.features[:, INPUTS])
    )
    assert continue_training(read, DATA, CONFIG, PERIOD).rows.max() < PERIOD.stop


@pytest.mark.parametrize(
    ("changes", "known", "reason"),
    [
        ({"model_skops": None}, DATA.names, "model.skops is missing"),
        ({"manifest_json": None}, DATA.names, "manifest.json is missing"),
        ({"model_skops": b"no archive"}, DATA.names, "model.skops does not load (BadZipFile)"),
        ({"model_skops": model_bytes({"a": 1})}, DATA.names, "a model of no family"),
        ({"features_json": b'["amount", "gone"]'}, DATA.names, "not in the catalogue: ['gone']"),
        ({}, DATA.names[5:], "4 of its features are not in the catalogue"),
        ({"manifest_json": msgspec.json.encode(Manifest("v1", "2026", {}))}, DATA.names, "lacks trained_until"),
        (
            {"manifest_json": msgspec.json.encode(Manifest("v1", "2026", {}, metrics={TRAINED_UNTIL: 1.0}))},
            DATA.names,
            "SHA-256",
        ),
    ],
)
def test_unusable_bundle_gives_none_and_logs_the_reason(
    changes: dict[str, Any], known: Sequence[str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_champion_model(stored(**changes), "v1", known) is None
    assert reason in fields(caplog.records[-1])["reason"]
