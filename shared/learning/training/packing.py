"""Assemble the files of a bundle."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.features.catalogue import feature_set
from shared.learning.data.dataset import Dataset
from shared.learning.data.profile import reference_profile
from shared.learning.training import calibrate
from shared.learning.training.explaining.effects import explained_inputs
from shared.learning.training.explaining.explain import explain
from shared.learning.training.export import onnx_scores
from shared.learning.training.model_file import NAME, model_bytes
from shared.scoring.bundle import EXPLANATION, MANIFEST, REASONS, Calibration, Manifest, digest
from shared.scoring.explanation import Explanation
from shared.scoring.thresholds import SideThresholds

TRAINED_UNTIL = "trained_until"
"""Metric of a manifest: time of the last training example, in seconds since the epoch."""
SEEN_UNTIL = "seen_until"
"""Metric of a manifest: time of the last example used for calibration or selection, in seconds since the epoch."""
TRAINED_AGE = "trained_age_days"
"""Metric of a manifest: age of the last training example at `as_of`, in days."""
GOLDEN_ROWS = 256
"""Golden vectors of a bundle, which a function scores before it serves the bundle."""
GOLDEN_MISSING = 0.3
"""Share of values removed from the second half of the golden vectors, to cover missing values too."""


class BundleParts(NamedTuple):
    """Parts of a bundle: the trained model, its ONNX export, the names of its inputs, calibration and thresholds.

    `background` [m, F] are the vectors that contributions to its scores are measured against.
    """

    model: Any
    onnx: bytes
    names: Sequence[str]
    calibration: Calibration
    thresholds: SideThresholds
    background: NDArray[np.float32]


def pack(parts: BundleParts, reference: NDArray[np.float32], seed: int) -> dict[str, bytes]:
    """Return the bundle's files by name, without the manifest; `reference` [n, F] holds recent input vectors.

    Raises ExportFailed if the contributions to scores do not add up.
    """
    scores = calibrate.apply(parts.calibration, onnx_scores(parts.onnx, reference))
    golden = _golden_vectors(reference, seed)
    explained = explain(parts.model, parts.names, parts.background, golden)
    inputs = explained_inputs(parts.model, parts.onnx, parts.background, reference)
    files = {
        "model.onnx": parts.onnx,
        NAME: model_bytes(parts.model),
        "features.json": msgspec.json.encode(list(parts.names)),
        "calibration.json": msgspec.json.encode(parts.calibration),
        "policy.json": msgspec.json.encode(parts.thresholds),
        "golden.npz": _golden(parts, golden),
        "profile.json": msgspec.json.encode(reference_profile(reference, parts.names, scores, inputs)),
        EXPLANATION: msgspec.json.encode(explained.explanation),
    }
    return files if explained.onnx is None else files | {REASONS: explained.onnx}


def sealed(files: Mapping[str, bytes], manifest: Manifest) -> dict[str, bytes]:
    """Return the files with their manifest, completed by feature set, explanation and the SHA-256 of each file."""
    names = msgspec.json.decode(files["features.json"], type=list[str])
    hashes = {name: digest(data) for name, data in files.items()}
    about = msgspec.json.decode(files[EXPLANATION], type=Explanation)
    complete = msgspec.structs.replace(
        manifest,
        files=hashes,
        feature_set=feature_set(names),
        explanation=about.kind,
        background=about.background,
    )
    return {**files, MANIFEST: msgspec.json.encode(complete)}


def times(data: Dataset, trained: int, seen: int, as_of: dt.datetime) -> dict[str, float]:
    """Return the metrics on the age of a fit to the rows before `trained`, chosen on those before `seen`."""
    until = float(data.initiated_at[trained - 1] / 1e6)
    return {
        TRAINED_UNTIL: until,
        SEEN_UNTIL: float(data.initiated_at[seen - 1] / 1e6),
        TRAINED_AGE: (as_of.timestamp() - until) / 86_400,
    }


def version_name(now: dt.datetime, model: bytes) -> str:
    """Return a version name that sorts by time and ends with a digest of the model.

    >>> version_name(dt.datetime(2026, 11, 20, 14, 32, tzinfo=dt.UTC), b"")
    '20261120T143200Z-e3b0c442'
    """
    return f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{digest(model)[:8]}"


def _golden_vectors(reference: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return golden vectors, evenly spaced in the reference; the second half has missing values."""
    rows = np.linspace(0, len(reference) - 1, min(GOLDEN_ROWS, len(reference))).astype(np.intp)
    vectors = np.ascontiguousarray(reference[rows])
    emptied = np.random.default_rng(seed).random(vectors.shape) < GOLDEN_MISSING
    emptied[: len(vectors) // 2] = False
    vectors[emptied] = np.nan
    vectors[-1] = np.nan  # the extreme case: no value at all
    return vectors


def _golden(parts: BundleParts, vectors: NDArray[np.float32]) -> bytes:
    """Return golden vectors with their scores, as an archive."""
    scores = calibrate.apply(parts.calibration, onnx_scores(parts.onnx, vectors))
    buffer = io.BytesIO()
    np.savez(buffer, features=vectors, scores=scores)
    return buffer.getvalue()
