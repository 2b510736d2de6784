"""A model bundle: the files that serve one model version, and the means to verify them.

Layout of `models/<version>/` in the bucket; the objects never change once written:

========================  =========================================================================================
`model.onnx`              the served model: input `features` float32 [n, F], output `score` float32 [n] or [n, 1],
                          the uncalibrated probability of fraud
`model.skops`             the same model, for a later job to continue; functions never open it
`features.json`           names of the F inputs, in order
`calibration.json`        `{"x": [...], "y": [...]}`: knots that map the raw to the calibrated probability
`policy.json`             `{"payer": {"hold": p, "reject": p}, "payee": {...}}`: by side, calibrated probabilities
                          from which a Pix is held (blocked) or rejected, or 2 for never
`golden.npz`              `features` float32 [k, F] and `scores` float64 [k]: vectors with their calibrated scores
`profile.json`            `{"features": {name: {...}}, "score": {...}}`: reference distribution of every input and
                          of the score; `median` of each input is the baseline of explanations by occlusion
`reasons.json`            how scores are explained (`shared.scoring.explanation.Explanation`)
`reasons.onnx`            exact contributions, of a model that has them: input `features` float32 [n, F],
                          output `contributions` float32 [n, groups]
`manifest.json`           version, creation time, run, dataset hash, feature set, kind of explanation and its
                          background, and the SHA-256 of every other file; signed (`shared.scoring.signature`)
========================  =========================================================================================
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared.errors import BundleRefused
from shared.features.catalogue import FEATURE_NAMES, feature_set
from shared.scoring.bundle_files import VERSION, baseline, decoded, golden, refused
from shared.scoring.challenge import Challenge, ChallengeMove
from shared.scoring.explanation import SHAPLEY, Explanation, Kind, adds_up, falls, log_odds
from shared.scoring.onnx_function import OnnxFunction, onnx_function
from shared.scoring.thresholds import SideThresholds

POINTER = "models/current.json"
MANIFEST = "manifest.json"
MODEL = "model.onnx"
EXPLANATION = "reasons.json"
REASONS = "reasons.onnx"
SERVED = (MODEL, "features.json", "calibration.json", "policy.json", "golden.npz", "profile.json", EXPLANATION)
"""The files that every bundle has and a function loads; `served` adds those of one bundle."""
FILES = (*SERVED, "model.skops")
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

    `challenge` is the test of a challenger against this version, if one runs, and `challenge_moves` the steps of
    tests that the ledger may lack, oldest first, among them the last one.
    """

    unrecorded: list[Move] = []
    retiring: list[str] = []
    challenge: Challenge | None = None
    challenge_moves: list[ChallengeMove] = []


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
    explanation: Kind | None = None
    """How its scores are explained; a bundle without it is refused."""
    background: str | None = None
    """SHA-256 of the vectors that contributions are measured against, None for OCCLUSION."""


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
        """Check and load the files of a bundle, `manifest.json` and all that are `served`. Raises BundleRefused."""
        self.manifest = verified_manifest(files)
        self.version = self.manifest.version
        self.feature_names = decoded(files, "features.json", list[str])
        self.features_read = self.feature_names
        self._columns = _column_indexes(self.feature_names)
        _check_feature_set(self.manifest, self.feature_names)
        self._calibration = _checked_calibration(decoded(files, "calibration.json", Calibration))
        self.thresholds = _checked_thresholds(decoded(files, "policy.json", SideThresholds))
        self.baseline = baseline(files, self.feature_names)
        self._explanation = _checked_explanation(self.manifest, decoded(files, EXPLANATION, Explanation))
        self.reason_codes = list(self._explanation.groups)
        self.explains_all = self._explanation.kind == SHAPLEY
        with refused(f"{EXPLANATION} does not fit"):
            self._members = self._explanation.members(self.feature_names)
        with refused("a model cannot be loaded"):
            names = ((MODEL, "score"), *([(REASONS, "contributions")] if self.explains_all else []))
            functions = [onnx_function(name, files[name], len(self.feature_names), output) for name, output in names]
            self._model, self._exact = functions[0], functions[-1]
        with refused("golden vectors cannot be computed"):
            self._check_golden(*golden(files["golden.npz"]))

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated probabilities of fraud [n] for vectors [n, len(FEATURE_NAMES)].

        It is NaN where the model's output is not finite. Raises whatever ONNX Runtime does.
        """
        return self._calibrated(self.raw(self.inputs(features)))

    def inputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the model's inputs [n, F] of vectors [n, len(FEATURE_NAMES)]."""
        return features if self._columns is None else features[:, self._columns]

    def vectors(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors [n, len(FEATURE_NAMES)] with the model's inputs [n, F], NaN in all other features."""
        found = np.full((len(inputs), len(FEATURE_NAMES)), np.nan, dtype=np.float32)
        found[:, slice(None) if self._columns is None else self._columns] = inputs
        return found

    def raw(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores before calibration [n], NaN where they are not finite. Raises as `score` does."""
        return self._model(inputs).reshape(len(inputs))

    def computed_by(self, model: OnnxFunction, read: list[str]) -> Bundle:
        """Return this bundle with its model computed by another function, which has to give the same scores.

        `read` are the names of the features that these and their reasons depend on; any other may be missing.
        """
        found = copy.copy(self)
        found._model, found.features_read = model, read
        return found

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the contributions of `reason_codes` to the scores of vectors, [n, groups], by `explanation`.

        It is meant for all vectors of a batch if the bundle `explains_all`, otherwise for few: a model is asked once
        for each group then. Raises as `score` does.
        """
        return self._contributions(self.inputs(features))

    def _contributions(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        if self.explains_all:
            return self._exact(inputs)
        return falls(inputs, lambda each: log_odds(self.raw(each)), self.baseline, self._members)

    def _calibrated(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(raw, self._calibration.x, self._calibration.y)

    def _check_golden(self, vectors: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
        """Compare the scores of the golden vectors, and explain them: the rest of the code is the same."""
        raw = self.raw(vectors)
        worst = float(np.max(np.abs(self._calibrated(raw) - expected)))
        if not worst <= GOLDEN_TOLERANCE:
            raise BundleRefused(f"golden vectors differ by {worst:.2g}, more than {GOLDEN_TOLERANCE:.0e}")
        self._check_batches(vectors, raw)
        explained = slice(None) if self.explains_all else [int(np.argmax(expected))]
        found = self._contributions(vectors[explained])
        if found.shape[1] != len(self.reason_codes) or not np.isfinite(found).all():
            raise BundleRefused("the reasons of a golden score are not one finite number for each group")
        if self._explanation.base is not None and not adds_up(self._explanation.base, found, raw):
            raise BundleRefused("the contributions to golden scores do not add up to them")

    def _check_batches(self, vectors: NDArray[np.float32], raw: NDArray[np.float64]) -> None:
        """Compare scores of one vector alone, and of one more than all, with those of all: batches have any size."""
        for size in (1, len(vectors) + 1):
            batch = np.resize(vectors, (size, vectors.shape[1]))
            if not np.max(np.abs(self.raw(batch) - np.resize(raw, size))) <= GOLDEN_TOLERANCE:
                raise BundleRefused("a golden score depends on its batch")
            if self.explains_all and self._exact(batch).shape != (size, len(self.reason_codes)):
                raise BundleRefused("the reasons of a golden score depend on its batch")


def served(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the files of a bundle that a function loads, beside the manifest."""
    return (*SERVED, REASONS) if manifest.explanation == SHAPLEY else SERVED


def verified_manifest(files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest, after checking the SHA-256 of every file that is `served`. Raises BundleRefused."""
    manifest = decoded(files, MANIFEST, Manifest)
    for name in served(manifest):
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


def _checked_explanation(manifest: Manifest, explanation: Explanation) -> Explanation:
    if (manifest.explanation, manifest.background) != (explanation.kind, explanation.background):
        raise BundleRefused(f"it declares {manifest.explanation} as the kind of its reasons: train again")
    return explanation


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
