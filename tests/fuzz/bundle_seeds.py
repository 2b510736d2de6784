"""The sound bundles that are mutated: both kinds of explanation, and models of two families."""

from __future__ import annotations

from functools import cache

import numpy as np

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.training.export import onnx_bytes
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.learning.training.train import LabelledRows, fit
from shared.scoring.bundle import Calibration, Manifest
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.unit.learning.bundles import MADE_AT, small_bundle

_NAMES = FEATURE_NAMES[:6]


@cache
def seeds() -> list[dict[str, bytes]]:
    """Return the files of sound bundles."""
    return [small_bundle("v1"), small_bundle("v2", slope=3.0), _trees()]


def _trees() -> dict[str, bytes]:
    """Return a bundle of boosted trees, with exact reasons."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, len(_NAMES))).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    fraud = np.nan_to_num(features[:, 0]) + rng.normal(size=len(features)) > 1
    params = {"max_iter": 3, "max_leaf_nodes": 4, "min_samples_leaf": 5}
    model = fit("hist_gradient_boosting", params, LabelledRows(np.asfortranarray(features), fraud), seed=0)
    calibration = Calibration([0.0, 0.4, 1.0], [0.0, 0.3, 1.0])
    thresholds = SideThresholds(payer=Thresholds(0.3, 0.9), payee=Thresholds(0.5, 2.0))
    parts = BundleParts(model, onnx_bytes(model, len(_NAMES)), _NAMES, calibration, thresholds, features[:40])
    manifest = Manifest("v3", MADE_AT.isoformat(), {})
    return sealed(pack(parts, features[:64], seed=0), manifest)
