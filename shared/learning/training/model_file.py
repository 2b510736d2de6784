"""A trained model as a file that a later job continues: data and the names of a few known classes, never code.

A pickle runs whatever its writer wants. This is skops' format, an archive of a JSON tree and of arrays, and each node
of the tree has to be of a class that our families consist of, by a loader that makes that class. skops trusts more by
default (functions, operators, all of scikit-learn), so the tree is checked first, before skops sees it.
Format: https://skops.readthedocs.io/en/stable/persistence.html
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import skops.io
from sklearn.exceptions import InconsistentVersionWarning

from shared.learning.errors import CannotContinue

NAME = "model.skops"
BYTES_MAX = 2 << 30
"""Bytes of an archive when unpacked; the largest forest of a training has some 0.2 GB."""
_TREE = "schema.json"
_TREE_MAX = 64 << 20

_CLASSES: dict[str, frozenset[str]] = {
    "DictNode": frozenset({"builtins.dict"}),
    "DTypeNode": frozenset({"numpy.dtype"}),
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "LossNode": frozenset({"sklearn._loss._loss.CyHalfBinomialLoss"}),
    "NdArrayNode": frozenset(
        {f"numpy.{name}" for name in ("ndarray", "float32", "float64", "int32", "int64", "uint8", "uint32", "uint64")}
    ),
    "ObjectNode": frozenset(
        {
            "sklearn._loss.link.Interval",
            "sklearn._loss.link.LogitLink",
            "sklearn._loss.loss.HalfBinomialLoss",
            "sklearn.ensemble._forest.RandomForestClassifier",
            "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "sklearn.impute._base.SimpleImputer",
            "sklearn.linear_model._logistic.LogisticRegression",
            "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
            "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
            "sklearn.pipeline.Pipeline",
            "sklearn.preprocessing._data.StandardScaler",
            "sklearn.preprocessing._label.LabelBinarizer",
            "sklearn.preprocessing._label.LabelEncoder",
            "sklearn.tree._classes.DecisionTreeClassifier",
        }
    ),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "TypeNode": frozenset({"builtins.str"}),
}
"""The classes of a model by the loader of skops that makes them: those of all families, and no others."""
_TRUSTED = sorted({name for names in _CLASSES.values() for name in names})


def model_bytes(model: Any) -> bytes:
    """Return a model as a file, whose bytes depend on the model only.

    skops names nodes and files by addresses in memory, and dates the files; nodes of trees have unused bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as made, zipfile.ZipFile(buffer, "w") as archive:
        tree = json.loads(made.read(_TREE))
        files = _renumbered(tree)
        for name in files:
            archive.writestr(zipfile.ZipInfo(files[name]), _packed(made.read(name)))
        archive.writestr(zipfile.ZipInfo(_TREE), json.dumps(tree, separators=(",", ":")))
    return buffer.getvalue()


def _renumbered(tree: Any) -> dict[str, str]:
    """Number the nodes and files of a tree in its order, in place; return the new names of the files."""
    ids: dict[int, int] = {}
    files: dict[str, str] = {}
    for node in _nodes(tree):
        node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if "file" in node:
            node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.npy")
    return files


def _packed(data: bytes) -> bytes:
    """Return an array's file with zeros between the fields of its records."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros(array.shape, array.dtype)  # zeros_like fills the fields alone
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def read_model(data: bytes) -> Any:
    """Return the model in a file. Raises CannotContinue, whatever the bytes are.

    Also for a model of another scikit-learn version: continuing relies on its private attributes, which change.
    """
    try:
        _require_known_classes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return skops.io.loads(data, trusted=_TRUSTED)
    except CannotContinue:
        raise
    except Exception as error:
        raise CannotContinue(f"{NAME} does not load ({type(error).__name__})") from error


def _require_known_classes(data: bytes) -> None:
    """Raise CannotContinue unless every node of the tree is of a class and a loader that our models have."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sizes = {each.filename: each.file_size for each in archive.infolist()}
        if sum(sizes.values()) > BYTES_MAX or sizes[_TREE] > _TREE_MAX or len(sizes) < len(archive.infolist()):
            raise CannotContinue(f"{NAME} is too large, or has two files of one name")
        tree = json.loads(archive.read(_TREE))
    for node in _nodes(tree):
        kind = f"{node.get('__module__')}.{node.get('__class__')}"
        if kind not in _CLASSES.get(str(node.get("__loader__")), ()):
            raise CannotContinue(f"{NAME} has a class that no model of ours has")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield each node of a tree, which names a class or a loader."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if {"__loader__", "__module__", "__class__"} & each.keys():
                yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
