"""Models are kept as data, and a file of them runs no code, whatever it holds."""

from __future__ import annotations

import io
import json
import operator
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io

from shared.learning.errors import CannotContinue
from shared.learning.specs.search import ModelFamily
from shared.learning.training.export import onnx_bytes
from shared.learning.training.families import family_of
from shared.learning.training.model_file import model_bytes, read_model
from shared.learning.training.train import fit, per_fraud, raw_scores
from tests.unit.learning.training.samples import SMALL, families, labelled


def trained(family: ModelFamily = "decision_tree") -> Any:
    return fit(family, {**SMALL[family], "legitimate_per_fraud": 20.0}, labelled(500, 0), seed=0)


@families
def test_a_model_is_read_as_it_was_written(family: ModelFamily) -> None:
    model, unseen = trained(family), labelled(200, 1).features
    read = read_model(model_bytes(model))
    assert family_of(read) == family
    assert read.legitimate_per_fraud == per_fraud({"legitimate_per_fraud": 20.0})
    assert onnx_bytes(read, 8) == onnx_bytes(model, 8)
    assert model_bytes(trained(family)) == model_bytes(model) == model_bytes(read)
    np.testing.assert_array_equal(raw_scores(read, unseen), raw_scores(model, unseen))


class Runs:
    """An object that writes a file when it is unpickled or constructed."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._file,)


def pickled(file: str) -> bytes:
    return pickle.dumps(Runs(file))


def by_joblib(file: str) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(Runs(file), buffer)
    return buffer.getvalue()


def called(file: str) -> bytes:
    """Return a file of skops whose tree calls a function."""
    data: bytes = skops.io.dumps({"a": partial(os.mkdir, file)})
    return data


def array_of_objects(file: str) -> bytes:
    """Return a model one of whose arrays is a pickle."""
    data = io.BytesIO()
    np.save(data, np.array([Runs(file)], dtype=object), allow_pickle=True)
    return replaced(model_bytes(trained()), lambda name, old: data.getvalue() if name.endswith(".npy") else old)


@pytest.mark.parametrize("attack", [pickled, by_joblib, called, array_of_objects])
def test_nothing_in_a_file_runs(attack: Callable[[str], bytes], tmp_path: Path) -> None:
    file = tmp_path / "ran"
    with pytest.raises(CannotContinue, match=r"model\.skops"):
        read_model(attack(str(file)))
    assert not file.exists()


@pytest.mark.parametrize(
    "value", [operator.itemgetter(1), np.random.default_rng, {1, 2}, slice(1), Path, b"bytes", print]
)
def test_what_no_model_of_ours_has_is_refused(value: Any) -> None:
    with pytest.raises(CannotContinue, match="no model of ours has"):
        read_model(skops.io.dumps({"a": value}))


def test_a_model_of_another_version_of_scikit_learn_is_refused() -> None:
    def older(name: str, data: bytes) -> bytes:
        import sklearn

        return data.replace(sklearn.__version__.encode(), b"0.24.2") if name == "schema.json" else data

    with pytest.raises(CannotContinue, match="InconsistentVersionWarning"):
        read_model(replaced(model_bytes(trained()), older))


def test_an_archive_with_two_trees_is_refused() -> None:
    buffer = io.BytesIO(model_bytes(trained()))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(CannotContinue, match="two files of one name"):
        read_model(buffer.getvalue())


@pytest.mark.parametrize("family", ["decision_tree", "hist_gradient_boosting"])
def test_no_change_of_the_tree_raises_anything_else(family: ModelFamily) -> None:
    good, chance = model_bytes(trained(family)), random.Random(0)
    refused = 0
    for _ in range(60):
        try:
            read_model(replaced(good, lambda name, data: changed(name, data, chance)))
        except CannotContinue:
            refused += 1
    assert refused > 20


def changed(name: str, data: bytes, chance: random.Random) -> bytes:
    """Return the tree with one of its values replaced."""
    if name != "schema.json":
        return data
    tree = json.loads(data)
    at = tree
    while True:
        key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], dict | list) or not at[key] or chance.random() < 0.1:
            at[key] = chance.choice([None, "", "builtins", "eval", "MethodNode", -1, 1e300, [], {}])
            return json.dumps(tree).encode()
        at = at[key]


def replaced(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Return an archive with the content of each file changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return buffer.getvalue()
