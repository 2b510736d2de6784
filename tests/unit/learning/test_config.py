"""The configuration of a retraining."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import retrain
from shared.errors import Misconfigured
from shared.learning.config import load

SHIPPED = Path(retrain.__file__).with_name("config.yaml")
BOOSTING = {"name": "boosting", "family": "hist_gradient_boosting", "params": {"max_leaf_nodes": 8}}
GROWN = {"name": "grown", "family": "gradient_boosted_trees", "params": {"maxDepth": 3}}
LINEAR = {"name": "linear", "family": "logistic_regression", "params": {"C": 1.0}}


def changed(path: str, value: Any) -> dict[str, Any]:
    tree: dict[str, Any] = copy.deepcopy(yaml.safe_load(SHIPPED.read_text("utf-8")))
    *above, last = path.split(".")
    part = tree
    for name in above:
        part = part[name]
    part[last] = value
    return tree


def test_shipped_configuration_is_valid() -> None:
    assert len(load(SHIPPED).candidates) == 5


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("split.test_weeks", 25, "no days to train on"),
        ("gate.resamples", 1, "resamples"),
        ("gate.confidence", 95, "confidence"),
        ("gate.unknown", 1, "unknown"),
        ("costs.payer.review", -1, "review"),
        ("costs.payee.review", float("inf"), r"costs\.payee\.review is inf"),
        ("costs.payer.review", 1.0e300, r"costs\.payer\.review is 1e\+300"),
        ("drift.score_max", float("inf"), "score_max is inf"),
        ("candidates", [LINEAR | {"params": {"legitimate_per_fraud": float("nan")}}], "legitimate_per_fraud is nan"),
        ("split.training_days", float("nan"), "training_days"),
        ("seed", -1, "seed"),
        ("modes", ["full", "full"], "twice"),
        ("all_rows", [GROWN | {"params": {"maxDepth": 4}}], "at most 8 leaves"),
        ("all_rows", [GROWN | {"params": {}}], "at most 8 leaves"),
        ("all_rows", [GROWN | {"family": "xgboost", "params": {}}], "at most 8 leaves"),
        ("all_rows", [GROWN | {"family": "xgboost", "params": {"max_depth": 4}}], "at most 8 leaves"),
        ("all_rows", [GROWN | {"family": "xgboost", "params": {"max_depth": 0}}], "at most 8 leaves"),
        (
            "all_rows",
            [GROWN | {"family": "xgboost", "params": {"max_depth": 0, "max_leaves": 9}}],
            "at most 8 leaves",
        ),
        ("all_rows", [GROWN | {"name": "boosting"}], "same name"),
        ("candidates", [], "candidates"),
        ("candidates", [LINEAR, LINEAR], "same name"),
        ("candidates", [LINEAR | {"name": "a*b"}], "name"),
        ("candidates", [LINEAR | {"search": {"C": {"low": 0, "high": 2, "log": True}}}], "above zero"),
        ("candidates", [LINEAR | {"search": {"C": {"low": 2, "high": 1}}}], "not in its search space"),
        ("candidates", [LINEAR | {"search": {"C": []}}], "not in its search space"),
        ("candidates", [BOOSTING | {"params": {"max_leaf_nodes": 9}}], "no exact reasons"),
        ("candidates", [BOOSTING | {"params": {"max_leaf_nodes": None}}], "no exact reasons"),
        ("candidates", [BOOSTING | {"search": {"max_leaf_nodes": [8, 16]}}], "no exact reasons"),
        ("candidates", [BOOSTING | {"search": {"max_leaf_nodes": {"low": 4, "high": 12}}}], "no exact reasons"),
        ("candidates", [LINEAR | {"params": {"legitimate_per_fraud": 0}}], "legitimate_per_fraud"),
        ("candidates", [LINEAR | {"params": {"legitimate_per_fraud": "many"}}], "legitimate_per_fraud"),
    ],
)
def test_invalid_setting_is_misconfigured_with_a_reason(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)), "utf-8")
    with pytest.raises(Misconfigured, match=message):
        load(file)
