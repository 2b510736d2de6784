"""Missing values, undersampling and reproducible fits in each model family."""

from __future__ import annotations

import numpy as np
import onnx

from shared.learning.specs.search import ModelFamily
from shared.learning.training.export import onnx_bytes
from shared.learning.training.train import LabelledRows, fit, raw_scores
from tests.unit.learning.training.samples import SMALL, families, labelled


@families
def test_missing_values_are_a_signal_except_under_median_imputation(family: ModelFamily) -> None:
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
def test_training_is_reproducible_to_the_byte(family: ModelFamily) -> None:
    first, second = (onnx_bytes(fit(family, SMALL[family], labelled(2_000, 0), seed=0), 8) for _ in range(2))
    assert first == second
    assert onnx.load_from_string(first).graph.name == "pix-fraud"


@families
def test_frauds_that_stand_for_many_raise_the_scores(family: ModelFamily) -> None:
    train = labelled(3_000, 0)
    heavy = train._replace(weight=np.where(train.fraud, 5.0, 1.0))
    plain, weighted = (raw_scores(fit(family, SMALL[family], one, 0), train.features) for one in (train, heavy))
    assert weighted.mean() > 1.3 * plain.mean()
