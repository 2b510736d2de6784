from __future__ import annotations

import numpy as np
import onnx
import pytest

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import CandidateSpec
from shared.learning.errors import ExportFailed
from shared.learning.export import PARITY, joblib_bytes, onnx_bytes, onnx_scores, require_parity
from shared.learning.train import Labelled, fit, informative_columns, raw_scores, recent_rows
from tests.unit.learning.synthetic import DAY

FAMILIES = [
    CandidateSpec("boosting", "hist_gradient_boosting", {"max_iter": 20, "early_stopping": True}),
    CandidateSpec("fixed", "hist_gradient_boosting", {"max_iter": 10}),
    CandidateSpec("linear", "logistic_regression"),
]


def labelled(rows: int, seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(rows, 8)) * 10.0 ** np.arange(-3, 5)).astype(np.float32)
    features[rng.random(features.shape) < 0.2] = np.nan
    return Labelled(features, np.nan_to_num(features[:, 3]) + rng.normal(size=rows) > 1)


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: spec.name)
def test_onnx_computes_what_was_trained_with_values_missing_and_on_the_edge_of_a_split(spec) -> None:
    train = labelled(3_000, 0)
    model = fit(spec, train, labelled(500, 1), seed=0)
    unseen = np.vstack([labelled(2_000, 2).features, train.features, np.full((1, 8), np.nan, np.float32)])
    data = onnx_bytes(model, 8)
    assert require_parity(model, unseen, onnx_scores(data, unseen)) <= PARITY
    with pytest.raises(ExportFailed):
        require_parity(model, unseen, onnx_scores(data, unseen) + 2 * PARITY)


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: spec.name)
def test_the_same_examples_give_the_same_bytes(spec) -> None:
    first, second = (onnx_bytes(fit(spec, labelled(2_000, 0), labelled(300, 1), seed=0), 8) for _ in range(2))
    assert first == second
    assert onnx.load_from_string(first).graph.name == "pix-fraud"


def test_the_joblib_form_is_the_same_model() -> None:
    import io

    import joblib

    model = fit(FAMILIES[1], labelled(500, 0), labelled(100, 1), seed=0)
    unseen = labelled(50, 2).features
    np.testing.assert_array_equal(
        raw_scores(joblib.load(io.BytesIO(joblib_bytes(model))), unseen), raw_scores(model, unseen)
    )


def test_columns_that_say_nothing_are_left_out() -> None:
    features = np.array([[1, np.nan, 2, np.nan], [1, np.nan, 3, 4]], np.float32)
    assert informative_columns(features).tolist() == [2, 3]


def test_old_legitimate_rows_are_thinned_by_half_life_and_frauds_kept() -> None:
    at = np.linspace(0, 100 * DAY, 100_000).astype(np.int64)
    fraud = np.arange(len(at)) % 100 == 0
    rows = recent_rows(at, fraud, half_life_days=50, seed=0)
    kept = np.zeros(len(at), bool)
    kept[rows] = True
    assert kept[fraud].all()
    assert kept[~fraud][:1000].mean() == pytest.approx(0.25, abs=0.05)
    assert kept[~fraud][-1000:].mean() > 0.98
    assert len(FEATURE_NAMES) > 8
