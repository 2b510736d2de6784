"""Published results on this stream. Source: see protocol; execution times are those of the book."""

from __future__ import annotations

from typing import NamedTuple

from tests.benchmarks.handbook.protocol import Figures


class PublishedResult(NamedTuple):
    """Figures of a model, and the seconds of its search and training (None: not published)."""

    model: str
    figures: Figures
    seconds: float | None


SINGLE = (
    PublishedResult("logistic regression", Figures(0.871, 0.606, 0.291), 1.6),
    PublishedResult("random forest (100)", Figures(0.867, 0.658, 0.287), 2.1),
    PublishedResult("XGBoost defaults of the time", Figures(0.862, 0.639, 0.273), 7.0),
)
FOLDS = (
    PublishedResult("logistic regression", Figures(0.868, 0.623, 0.297), 26.0),
    PublishedResult("random forest", Figures(0.870, 0.678, 0.299), 587.0),
    PublishedResult("XGBoost, random search", Figures(0.872, 0.687, 0.303), 690.0),
    PublishedResult("balanced bagging", Figures(0.879, 0.680, 0.305), None),
    PublishedResult("feed-forward network", Figures(0.876, 0.675, 0.303), 7351.0),
    PublishedResult("LSTM", Figures(0.876, 0.665, 0.297), 14752.0),
)
