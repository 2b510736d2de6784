"""Columns and rows of a fit, and its parameters."""

from __future__ import annotations

import numpy as np
import pytest

from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.split import DAY
from shared.learning.training.train import fit, informative_columns, recent_rows
from tests.unit.learning.training.samples import labelled


def test_constant_columns_are_left_out() -> None:
    features = np.array([[1, np.nan, 2, np.nan], [1, np.nan, 3, 4], [5, 6, 7, 8]], np.float32)
    assert informative_columns(features, np.array([0, 1])).tolist() == [2, 3]


def test_unknown_parameter_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="max_depht"):
        fit("decision_tree", {"max_depht": 3}, labelled(50, 0), seed=0)


def test_old_legitimate_rows_are_sampled_by_half_life() -> None:
    at = np.linspace(0, 100 * DAY, 100_000).astype(np.int64)
    fraud = np.arange(len(at)) % 100 == 0
    rows = recent_rows(at, fraud, half_life_days=50, seed=0)
    kept = np.zeros(len(at), bool)
    kept[rows] = True
    assert kept[fraud].all()
    assert kept[~fraud][:1000].mean() == pytest.approx(0.25, abs=0.05)
    assert kept[~fraud][-1000:].mean() > 0.98
    assert len(FEATURE_NAMES) > 8


def test_rows_max_drops_old_legitimate_rows_first_and_no_frauds() -> None:
    at = np.linspace(0, 100 * DAY, 20_000).astype(np.int64)
    fraud = np.arange(len(at)) % 100 == 0
    rows = recent_rows(at, fraud, half_life_days=20, seed=0, rows_max=3_000)
    assert len(rows) == 3_000
    assert fraud[rows].sum() == fraud.sum()
    assert np.mean(at[rows][~fraud[rows]] > 50 * DAY) > 0.8
    assert len(recent_rows(at, fraud, 20, 0, rows_max=10)) == 2 * fraud.sum()
