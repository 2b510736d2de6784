"""Training sets from arrays; by default the third and fourth feature carry the signal."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import DAY
from shared.learning.specs.search import CandidateSpec, ParameterRange, SearchSpec
from tests.unit.learning.synthetic import QUICK, UNCHECKED, facts

TREE = CandidateSpec(
    "tree",
    "decision_tree",
    {"max_depth": 4, "min_samples_leaf": 20},
    {"max_depth": [2, 4, 8], "min_samples_leaf": ParameterRange(5, 80, log=True)},
)
LINEAR = CandidateSpec(
    "linear",
    "logistic_regression",
    {"C": 0.1, "class_weight": None},
    {"C": ParameterRange(0.01, 1.5), "class_weight": [None, "balanced"]},
)


def training_set(rows: int = 2_400, seed: int = 0, days: int = 60, signal: tuple[int, ...] = (2, 3)) -> Dataset:
    """Return rows spread over `days`, 5 % of them frauds, 10 % of the values missing."""
    rng = np.random.default_rng(seed)
    features = np.asfortranarray(rng.normal(size=(rows, len(FEATURE_NAMES))).astype(np.float32))
    risk = features[:, list(signal)].sum(axis=1) + rng.normal(scale=0.5, size=rows)
    features[rng.random(features.shape) < 0.1] = np.nan
    at = np.sort(rng.integers(0, days * DAY, rows))
    ones = np.ones(rows)
    fraud = risk > np.quantile(risk, 0.95)
    pix = np.arange(rows, dtype=np.int32)
    return Dataset(FEATURE_NAMES, features, pix, fraud, at, 100 * ones, ones, ones, facts(rows), UNCHECKED, "hash")


SearchMethod = Literal["grid", "random", "bayesian"]


def searching(method: SearchMethod = "bayesian", trials: int = 8, **changes: object) -> Config:
    """Return settings with two cheap candidates to search."""
    spec = SearchSpec(method, trials, folds=2, rows_max=1_000, grid_points=2)
    return msgspec.structs.replace(QUICK, candidates=[TREE, LINEAR], search=spec, **changes)
