"""Exported models score as the models they were exported from."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.learning.errors import ExportFailed
from shared.learning.specs.search import ModelFamily
from shared.learning.training.export import PARITY, joblib_bytes, onnx_bytes, onnx_scores, require_parity
from shared.learning.training.train import LabelledRows, fit, raw_scores
from tests.unit.learning.training.samples import SMALL, families, labelled


@families
def test_onnx_equals_scikit_learn_for_missing_values_and_at_split_edges(family: ModelFamily) -> None:
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
def test_onnx_separates_neighbouring_float32_values(family: ModelFamily) -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 8, size=(3_000, 2))
    features = (np.float32(1.92).view(np.int32) + steps.astype(np.int32)).view(np.float32)
    fraud = steps[:, 0] + rng.normal(size=3_000) > 4
    model = fit(family, SMALL[family], LabelledRows(np.asfortranarray(features), fraud), seed=0)
    require_parity(model, features, onnx_scores(onnx_bytes(model, 2), features))


def test_joblib_round_trip_keeps_the_scores() -> None:
    import io

    import joblib

    model = fit("hist_gradient_boosting", {"max_iter": 10}, labelled(500, 0), seed=0)
    unseen = labelled(50, 2).features
    np.testing.assert_array_equal(
        raw_scores(joblib.load(io.BytesIO(joblib_bytes(model))), unseen), raw_scores(model, unseen)
    )


def test_boosted_trees_tell_small_probabilities_apart() -> None:
    x = np.linspace(0, 1, 4_000, dtype=np.float32)[:, np.newaxis]
    model = HistGradientBoostingClassifier(max_iter=150, max_leaf_nodes=8, learning_rate=0.3, early_stopping=False)
    trained = model.fit(x, x[:, 0] > 0.9).predict_proba(x)[:, 1]
    served = onnx_scores(onnx_bytes(model, 1), x)
    assert trained.min() < 1e-7
    np.testing.assert_allclose(served, trained, rtol=1e-4)
