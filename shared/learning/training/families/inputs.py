"""What families do with missing values and scales before they learn; all of it is exported with the model."""

from __future__ import annotations

from typing import Any

from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

MISSING = -1e9  # below every value of a feature, so that one split tells what is missing from what is not


def scaled(estimator: Any) -> Pipeline:
    """Return an estimator on values of like scale, medians standing for what is missing."""
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler()), ("model", estimator)])


def missing_as_lowest(estimator: Any) -> Pipeline:
    """Return an estimator that sees missing values as one that is lower than all others.

    scikit-learn's own trees send missing values down either branch, but skl2onnx does not export which.
    """
    impute = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
    return Pipeline([("impute", impute), ("model", estimator)])
