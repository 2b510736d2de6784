"""What is published of this stream. Source: see protocol; execution times are those of the book."""

from __future__ import annotations

from typing import NamedTuple

from tests.benchmarks.handbook.protocol import Figures


class Result(NamedTuple):
    """Figures of a model, and the seconds of its search and training where they are known."""

    model: str
    figures: Figures
    seconds: float | None


SINGLE = (
    Result("logistic regression", Figures(0.871, 0.606, 0.291), 1.6),
    Result("random forest (100)", Figures(0.867, 0.658, 0.287), 2.1),
    Result("XGBoost defaults of the time", Figures(0.862, 0.639, 0.273), 7.0),
)
FOLDS = (
    Result("logistic regression", Figures(0.868, 0.623, 0.297), 26.0),
    Result("random forest", Figures(0.870, 0.678, 0.299), 587.0),
    Result("XGBoost, random search", Figures(0.872, 0.687, 0.303), 690.0),
    Result("balanced bagging", Figures(0.879, 0.680, 0.305), None),
    Result("feed-forward network", Figures(0.876, 0.675, 0.303), 7351.0),
    Result("LSTM", Figures(0.876, 0.665, 0.297), 14752.0),
)
