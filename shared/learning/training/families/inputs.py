"""Preprocessing of missing values and scales, exported together with the model."""

from __future__ import annotations

from typing import Any

from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

MISSING = -1e9  # below every feature value, so that a single split separates missing values


def scaled(estimator: Any) -> Pipeline:
    """Return an estimator behind median imputation and standardisation."""
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler()), ("model", estimator)])


def missing_as_lowest(estimator: Any) -> Pipeline:
    """Return an estimator behind imputation by MISSING, the lowest value of all.

    scikit-learn's trees learn a branch for missing values, but skl2onnx does not export it.
    """
    impute = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
    return Pipeline([("impute", impute), ("model", estimator)])
