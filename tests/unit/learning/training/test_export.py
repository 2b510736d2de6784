from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import ModelFamily
from shared.learning.data.split import DAY
from shared.learning.errors import ExportFailed
from shared.learning.training.export import PARITY, joblib_bytes, onnx_bytes, onnx_scores, require_parity
from shared.learning.training.families import FAMILIES
from shared.learning.training.train import LabelledRows, fit, informative_columns, raw_scores, recent_rows

SMALL: dict[ModelFamily, dict[str, Any]] = {
    "logistic_regression": {},
    "decision_tree": {"max_depth": 10},
    "random_forest": {"n_estimators": 20, "max_depth": 12},
    "hist_gradient_boosting": {"max_iter": 20},
    "neural_network": {"hidden_layer_sizes": [16, 8], "max_iter": 10},
}
families = pytest.mark.parametrize("family", list(FAMILIES))


def labelled(rows: int, seed: int, missing: float = 0.2) -> LabelledRows:
    """Return rows whose columns have different scales, some of integers with ties."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(rows, 8)) * 10.0 ** np.arange(-3, 5)).astype(np.float32)
    features[:, 5:] = features[:, 5:].round()
    features[rng.random(features.shape) < missing] = np.nan
    return LabelledRows(features, np.nan_to_num(features[:, 3]) + rng.normal(size=rows) > 1.5)


@families
def test_onnx_equals_scikit_learn_for_missing_values_and_at_split_edges(family) -> None:
    train = labelled(3_000, 0)
    model = fit(family, SMALL[family], train, seed=0)
    empty = np.full((1, 8), np.nan, np.float32)
    nearly_empty = labelled(4_000, 2, missing=0.9).features
    below, above = (np.nextafter(train.features, np.float32(side)) for side in (-np.inf, np.inf))
    unseen = np.vstack([labelled(10_000, 1).features, nearly_empty, train.features, below, above, empty])
    assert len(unseen) > 20_000
    data = onnx_bytes(model, 8)
    assert require_parity(model, unseen, onnx_scores(data, unseen)) <= PARITY
    with pytest.raises(ExportFailed):
        require_parity(model, unseen, onnx_scores(data, unseen) + 2 * PARITY)


@families
def test_onnx_separates_neighbouring_float32_values(family) -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 8, size=(3_000, 2))
    features = (np.float32(1.92).view(np.int32) + steps.astype(np.int32)).view(np.float32)
    fraud = steps[:, 0] + rng.normal(size=3_000) > 4
    model = fit(family, SMALL[family], LabelledRows(np.asfortranarray(features), fraud), seed=0)
    require_parity(model, features, onnx_scores(onnx_bytes(model, 2), features))


@families
def test_missing_values_are_a_signal_except_under_median_imputation(family) -> None:
    train = labelled(3_000, 0)
    features = train.features.copy()
    features[train.fraud, 0] = np.nan
    model = fit(family, SMALL[family], LabelledRows(features, train.fraud), seed=0)
    present, absent = features[:200].copy(), features[:200].copy()
    present[:, 0], absent[:, 0] = np.nanmedian(features[:, 0]), np.nan
    rises = raw_scores(model, absent).mean() - raw_scores(model, present).mean()
    if family in ("logistic_regression", "neural_network"):
        assert abs(rises) < 1e-6
    else:
        assert rises > 0.05


@families
def test_training_is_reproducible_to_the_byte(family) -> None:
    first, second = (onnx_bytes(fit(family, SMALL[family], labelled(2_000, 0), seed=0), 8) for _ in range(2))
    assert first == second
    assert onnx.load_from_string(first).graph.name == "pix-fraud"


def test_joblib_round_trip_keeps_the_scores() -> None:
    import io

    import joblib

    model = fit("hist_gradient_boosting", {"max_iter": 10}, labelled(500, 0), seed=0)
    unseen = labelled(50, 2).features
    np.testing.assert_array_equal(
        raw_scores(joblib.load(io.BytesIO(joblib_bytes(model))), unseen), raw_scores(model, unseen)
    )


def test_constant_columns_are_left_out() -> None:
    features = np.array([[1, np.nan, 2, np.nan], [1, np.nan, 3, 4], [5, 6, 7, 8]], np.float32)
    assert informative_columns(features, np.array([0, 1])).tolist() == [2, 3]


def test_unknown_parameter_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="max_depht"):
        fit("decision_tree", {"max_depht": 3}, labelled(50, 0), seed=0)


@families
def test_undersampling_leaves_no_column_without_values(family) -> None:
    train = labelled(3_000, 0)
    features = train.features.copy()
    features[:, 0] = np.nan
    features[np.flatnonzero(~train.fraud)[7], 0] = 1.0
    model = fit(family, {**SMALL[family], "legitimate_per_fraud": 2}, LabelledRows(features, train.fraud), seed=0)
    assert 0.25 < raw_scores(model, features).mean() < 0.45  # a third of its training rows were frauds


def test_old_legitimate_rows_are_sampled_by_half_life_and_all_frauds_kept() -> None:
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
