"""A model bundle: the files that serve one model version, and the means to verify them.

Layout of `models/<version>/` in the bucket; the objects never change once written:

========================  =========================================================================================
`model.onnx`              the served model: input `features` float32 [n, F], output `score` float32 [n] or [n, 1],
                          the uncalibrated probability of fraud
`model.joblib`            the same model for later jobs; functions never open it
`features.json`           names of the F inputs, in order
`calibration.json`        `{"x": [...], "y": [...]}`: knots that map the raw to the calibrated probability
`policy.json`             `{"payer": {"hold": p, "reject": p}, "payee": {...}}`: by side, calibrated probabilities
                          from which a Pix is held (blocked) or rejected, or 2 for never
`golden.npz`              `features` float32 [k, F] and `scores` float64 [k]: vectors with their calibrated scores
`profile.json`            `{"features": {name: {...}}, "score": {...}}`: reference distribution of every input and
                          of the score; `median` of each input is the baseline of explanations
`manifest.json`           version, creation time, run, dataset hash, feature set, and the SHA-256 of every other file
========================  =========================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import onnxruntime
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared.errors import BundleRefused
from shared.features.catalogue import FEATURE_NAMES, feature_set
from shared.scoring.bundle_files import baseline, decoded, golden, refused
from shared.scoring.thresholds import SideThresholds

POINTER = "models/current.json"
MANIFEST = "manifest.json"
SERVED = ("model.onnx", "features.json", "calibration.json", "policy.json", "golden.npz", "profile.json")
FILES = (*SERVED, "model.joblib")
VERSION = "^[0-9A-Za-z._-]{1,64}$"
GOLDEN_TOLERANCE = 1e-4  # ONNX Runtime and scikit-learn agreed to 9e-7 on 100,000 rows; platforms differ a little

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]


class Move(Struct, frozen=True):
    """A swap of the serving version: when, from which, by whom, and why."""

    version: Annotated[str, Meta(pattern=VERSION)]
    swapped_at: str
    previous: str | None = None
    action: Literal["SWAP", "ROLLBACK"] = "SWAP"
    actor: str = "unknown"
    reason: str = ""


class Pointer(Move, frozen=True):
    """Content of `models/current.json`: the version that serves, and the move that made it serve.

    It is written before the ledger, so a later job that finds the move missing there can add it. `unrecorded` are
    earlier moves that the ledger may lack. `retiring` are versions that may be half deleted and must not serve.
    """

    unrecorded: list[Move] = []
    retiring: list[str] = []


class Manifest(Struct, frozen=True):
    """Contents and origin of a bundle: its files, and who trained it, why, and on the verdicts known at `as_of`."""

    version: str
    created_at: str
    files: dict[str, str]
    run_id: str | None = None
    dataset_hash: str | None = None
    metrics: dict[str, float] = {}
    actor: str = "unknown"
    trigger: str | None = None
    as_of: str | None = None
    refit_of: str | None = None
    """The version whose recipe, figures and thresholds these are, if this one was fitted again to newer rows."""
    feature_set: str | None = None
    """`shared.features.catalogue.feature_set` of the inputs, as of the training; a bundle without it is refused."""


class Calibration(Struct, frozen=True):
    """Knots of a monotone, piecewise linear map from raw to calibrated probability."""

    x: list[Probability]
    y: list[Probability]


def path(version: str, name: str) -> str:
    """Return the object name of a bundle's file.

    >>> path("v1", "model.onnx")
    'models/v1/model.onnx'
    """
    return f"models/{version}/{name}"


def digest(data: bytes) -> str:
    """Return the SHA-256 in the form of the manifest."""
    return hashlib.sha256(data).hexdigest()


class Bundle:
    """A verified model, ready to score."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Check and load the files of a bundle, `manifest.json` and all of SERVED. Raises BundleRefused."""
        self.manifest = verified_manifest(files)
        self.version = self.manifest.version
        self.feature_names = decoded(files, "features.json", list[str])
        self._columns = _column_indexes(self.feature_names)
        _check_feature_set(self.manifest, self.feature_names)
        self._calibration = _checked_calibration(decoded(files, "calibration.json", Calibration))
        self.thresholds = _checked_thresholds(decoded(files, "policy.json", SideThresholds))
        self.baseline = baseline(files, self.feature_names)
        with refused("model.onnx cannot be loaded"):
            self._session = _session(files["model.onnx"], len(self.feature_names))
            self._input = self._session.get_inputs()[0].name
        with refused("golden vectors cannot be computed"):
            self._check_golden(*golden(files["golden.npz"]))

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated probabilities of fraud [n] for vectors [n, len(FEATURE_NAMES)].

        It is NaN where the model's output is not finite. Raises whatever ONNX Runtime does.
        """
        return self._score(features if self._columns is None else features[:, self._columns])

    def occlusion(self, vector: NDArray[np.float32]) -> list[tuple[str, float]]:
        """Return the contribution of each input to one score, largest first: its fall if the input were usual.

        `vector` is [len(FEATURE_NAMES)]. Each input in turn is set to its median in the reference period.
        Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014 (occlusion).
        """
        own = vector if self._columns is None else vector[self._columns]
        falls = self._falls(own)
        order = np.argsort(-falls, kind="stable")
        return [(self.feature_names[i], float(falls[i])) for i in order]

    def _falls(self, own: NDArray[np.float32]) -> NDArray[np.float64]:
        unusual = np.flatnonzero((own != self.baseline) & ~(np.isnan(own) & np.isnan(self.baseline)))
        variants = np.tile(own, (len(unusual) + 1, 1))
        variants[np.arange(len(unusual)), unusual] = self.baseline[unusual]
        scores = self._raw(variants)
        falls = np.zeros(len(own))
        falls[unusual] = scores[-1] - scores[:-1]
        return falls

    def _raw(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        outputs = self._session.run(["score"], {self._input: np.ascontiguousarray(inputs)})
        raw = np.array(outputs[0], dtype=np.float64).reshape(len(inputs))
        raw[~np.isfinite(raw)] = np.nan  # np.interp would take infinity for a probability of 1
        return raw

    def _score(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.interp(self._raw(inputs), self._calibration.x, self._calibration.y)

    def _check_golden(self, vectors: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
        """Compare the scores of the golden vectors, and explain the highest one: the rest of the code is the same."""
        worst = float(np.max(np.abs(self._score(vectors) - expected)))
        if not worst <= GOLDEN_TOLERANCE:
            raise BundleRefused(f"golden vectors differ by {worst:.2g}, more than {GOLDEN_TOLERANCE:.0e}")
        if not np.isfinite(self._falls(vectors[np.argmax(expected)])).all():
            raise BundleRefused("the reasons of a golden score are not finite")


def verified_manifest(files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest, after checking the SHA-256 of every file in SERVED. Raises BundleRefused."""
    manifest = decoded(files, MANIFEST, Manifest)
    for name in SERVED:
        if name not in files:
            raise BundleRefused(f"{name} is missing")
        if manifest.files.get(name) != digest(files[name]):
            raise BundleRefused(f"{name} does not have the SHA-256 in the manifest")
    return manifest


def _column_indexes(names: list[str]) -> NDArray[np.intp] | None:
    """Return the indexes of the model's inputs in the served vector, or None if they are the served vector."""
    unknown = sorted(set(names) - set(FEATURE_NAMES))
    if unknown or not names or len(set(names)) != len(names):
        raise BundleRefused(f"features.json does not fit the features served (unknown: {unknown[:5]})")
    if tuple(names) == FEATURE_NAMES:
        return None
    return np.array([FEATURE_NAMES.index(name) for name in names], dtype=np.intp)


def _check_feature_set(manifest: Manifest, names: list[str]) -> None:
    served = feature_set(names)
    if manifest.feature_set != served:
        raise BundleRefused(
            f"it was trained on feature set {manifest.feature_set}; its features now mean {served}: train again"
        )


def _checked_calibration(calibration: Calibration) -> Calibration:
    x, y = calibration.x, calibration.y
    if len(x) < 2 or len(x) != len(y) or np.any(np.diff(x) <= 0) or np.any(np.diff(y) < 0):
        raise BundleRefused("calibration.json is not a monotone map with at least two knots")
    return calibration


def _checked_thresholds(thresholds: SideThresholds) -> SideThresholds:
    for side in (thresholds.payer, thresholds.payee):
        if not side.are_possible():
            raise BundleRefused("policy.json: 0 < hold <= reject <= 1, or 2 for never, is not true")
    return thresholds


def _session(model: bytes, inputs: int) -> onnxruntime.InferenceSession:
    """Return a session of one thread: a function has one vCPU, on which more threads would only wait."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    if len(shape) != 2 or shape[1] != inputs or "score" not in {output.name for output in session.get_outputs()}:
        raise BundleRefused(f"model.onnx takes {shape} and does not fit {inputs} features with an output `score`")
    return session
