"""Bundles to swap: complete ones with distinct scores, and six kinds of broken ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.contract.event import Event
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.topics import TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import Columns
from shared.features.history import MemoryHistory
from shared.features.vector import feature_matrix
from shared.learning.specs.search import LEAVES_MAX
from shared.learning.training.export import onnx_bytes
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.learning.training.train import raw_scores
from shared.scoring.bundle import MANIFEST, Calibration, Manifest, digest
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.benchmarks.faults.stream import END, Message

Files = dict[str, bytes]
_ROWS = 3_000
_TREES = 40
_PARAMS = {"max_leaf_nodes": LEAVES_MAX, "early_stopping": False}
_HELD, _REJECTED = 0.97, 0.995
_VALUES = 5
"""Inputs with no more distinct values are left out; at the start of a history many are missing."""


def bundles(messages: list[Message], count: int) -> dict[str, Files]:
    """Return complete bundles by version: two alternating models, each time with another calibration.

    So no two versions give the same scores.
    """
    features = _vectors(messages)
    rng = np.random.default_rng(0)
    amount = features[:, FEATURE_NAMES.index("amount")]
    large = amount > np.quantile(amount, 0.95)
    fraud = (large & (rng.random(len(features)) < 0.5)) | (rng.random(len(features)) < 0.01)
    used = [column for column in range(features.shape[1]) if len(np.unique(features[::2, column])) > _VALUES]
    inputs = np.ascontiguousarray(features[:, used])
    models = [
        HistGradientBoostingClassifier(max_iter=trees, **_PARAMS).fit(inputs[::2], fraud[::2])
        for trees in (_TREES, _TREES + 5)
    ]
    names = [FEATURE_NAMES[column] for column in used]
    return {
        f"v{number:02d}": _bundle(f"v{number:02d}", models[number % 2], names, inputs, 1.0 - number / 40)
        for number in range(1, count + 1)
    }


def _bundle(
    version: str, model: HistGradientBoostingClassifier, names: list[str], inputs: NDArray[np.float32], top: float
) -> Files:
    hold, reject = (top * np.quantile(raw_scores(model, inputs), (_HELD, _REJECTED))).tolist()
    calibration = Calibration([0.0, 1.0], [0.0, top])
    thresholds = SideThresholds(payer=Thresholds(hold, reject), payee=Thresholds(hold, reject))
    parts = BundleParts(model, onnx_bytes(model, len(names)), names, calibration, thresholds, inputs[:100])
    return sealed(pack(parts, inputs, seed=0), Manifest(version, END.isoformat(), {}))


def _vectors(messages: list[Message]) -> NDArray[np.float32]:
    pseudonymiser = Pseudonymiser(b"a bench")
    events: list[Event] = []
    for message in messages:
        if message.topic == TRANSACTIONS and len(events) < _ROWS:
            try:
                events.append(event_of(decode_transaction(message.data).value, pseudonymiser))
            except Malformed:
                continue
    columns = Columns.of(events)
    return feature_matrix(columns, MemoryHistory().observe(columns)[0])


def broken(good: Mapping[str, bytes]) -> dict[str, Files]:
    """Return one bundle of each kind that must be refused, by version."""
    onnx = good["model.onnx"]
    flipped = onnx[:-9] + bytes([onnx[-9] ^ 1]) + onnx[-8:]
    kinds: dict[str, Callable[[str], Files]] = {
        "bit-flip": lambda name: {**_renamed(good, name), "model.onnx": flipped},
        "truncated": lambda name: _renamed(good, name, {"model.onnx": onnx[: len(onnx) // 2]}),
        "checksum": lambda name: _wrong_checksum(_renamed(good, name)),
        "features": lambda name: _renamed(good, name, {"features.json": b'["no_such_feature"]'}),
        "golden": lambda name: _renamed(good, name, {"calibration.json": b'{"x": [0.0, 1.0], "y": [0.5, 0.6]}'}),
        "pickle": lambda name: _renamed(good, name, {"model.onnx": good["model.skops"]}),
    }
    return {f"bad-{name}": make(f"bad-{name}") for name, make in kinds.items()}


def _renamed(good: Mapping[str, bytes], version: str, changed: Mapping[str, bytes] | None = None) -> Files:
    """Return the files under another version, with changes and a matching manifest."""
    files = {**good, **(changed or {})}
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    hashes = {name: digest(data) for name, data in files.items() if name != MANIFEST}
    files[MANIFEST] = msgspec.json.encode(msgspec.structs.replace(manifest, version=version, files=hashes))
    return files


def _wrong_checksum(files: Files) -> Files:
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    wrong = {**manifest.files, "policy.json": digest(b"something else")}
    return {**files, MANIFEST: msgspec.json.encode(msgspec.structs.replace(manifest, files=wrong))}
