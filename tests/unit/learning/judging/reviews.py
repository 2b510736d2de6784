"""Two small models of one training set, and its test period."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.dataset import Dataset
from shared.learning.data.key_columns import Categories
from shared.learning.data.unjudged import Unjudged
from shared.learning.ports import Trial
from shared.learning.specs.gate import SideCosts
from shared.learning.training import packing
from shared.learning.training.export import onnx_bytes, onnx_scores
from shared.learning.training.packing import SEEN_UNTIL
from shared.learning.training.train import LabelledRows, fit
from shared.scoring.bundle import Bundle, Calibration, Manifest
from shared.scoring.rules import Rules
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.unit.learning.rows import training_set
from tests.unit.learning.synthetic import QUICK

COLUMNS = np.array([2, 3, 4, 5])
GENEROUS = msgspec.structs.replace(QUICK.costs.payer, review_share_max=0.2)
SPACIOUS = msgspec.structs.replace(QUICK, costs=SideCosts(GENEROUS, GENEROUS))
RULES = Rules([])
TEST = slice(1_200, 2_400)


def labelled_set() -> Dataset:
    """A training set with frauds of two types and payments by three institutions."""
    data = training_set()
    rng = np.random.default_rng(5)
    types = np.where(data.fraud, rng.integers(1, 3, len(data)), 0).astype(np.int32)
    banks = rng.choice(3, len(data), p=[0.7, 0.2, 0.1]).astype(np.int32)
    facts = dict(data.facts) | {
        "fraud_type": Categories(("", "MULE_ACCOUNT", "<SCAM>"), types),
        "payer_ispb": Categories(("00000000", "12345678", "60701190"), banks),
    }
    return dataclasses.replace(data, facts=facts)


DATA = labelled_set()


def bundle(version: str, columns: np.ndarray = COLUMNS, seen: int | None = 1_199) -> Bundle:
    """A small model that has seen the rows up to `seen`."""
    early = np.arange(1_200)
    model = fit("logistic_regression", {"C": 1.0}, LabelledRows(DATA.take(early, columns), DATA.fraud[early]), 0)
    names = [FEATURE_NAMES[j] for j in columns]
    onnx = onnx_bytes(model, len(columns))
    thresholds = SideThresholds(payer=Thresholds(0.05, 0.3), payee=Thresholds(0.05, 0.3))
    vectors = np.ascontiguousarray(DATA.features[:1_200, columns])
    identity = Calibration([0.0, 1.0], [0.0, 1.0])
    parts = packing.BundleParts(model, onnx, names, identity, thresholds, vectors[:100])
    assert np.all(np.isfinite(onnx_scores(onnx, vectors)))
    metrics = {} if seen is None else {SEEN_UNTIL: float(DATA.initiated_at[seen] / 1e6)}
    files = packing.pack(parts, vectors, 0)
    return Bundle(packing.sealed(files, Manifest(version, "2026-01-01T00:00:00Z", {}, metrics=metrics)))


TRIALS = [
    Trial(0, "tree", "decision_tree", {"max_depth": 4, "C": 0.123456789}, 0.4, [0.4], 1.5, "COMPLETE"),
    Trial(1, "<b>", "logistic_regression", {}, None, [], 0.1, "PRUNED"),
]


def lost(weight: float, rows: np.ndarray) -> Unjudged:
    """Rows of the test period as decisions without a label."""
    features, at = DATA.features[TEST][rows], DATA.initiated_at[TEST][rows]
    amount, served = DATA.amount[TEST][rows], np.linspace(0.25, 0.75, len(rows))
    return Unjudged(DATA.names, features, at, amount, served, np.full(len(rows), weight))
