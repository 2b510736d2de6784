"""Plots of an evaluation, as PNG."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import PrecisionRecallDisplay


def plots(fraud: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]]) -> dict[str, bytes]:
    """Return the PNG files of the curves of each model's scores [n]."""
    return {"precision_recall.png": _precision_recall(fraud, scores), "reliability.png": _reliability(fraud, scores)}


def _precision_recall(fraud: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]]) -> bytes:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    for name, values in scores.items():
        PrecisionRecallDisplay.from_predictions(fraud, values, ax=axes, name=name, drop_intermediate=True)
    axes.set_title("Precision and recall, last period")
    return _png(figure)


def _reliability(fraud: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]]) -> bytes:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey", label="perfect")
    for name, values in scores.items():
        observed, predicted = calibration_curve(fraud, values, n_bins=10)
        axes.plot(predicted, observed, marker="o", label=name)
    axes.set(xlabel="predicted probability", ylabel="observed share of frauds", title="Reliability, last period")
    axes.legend()
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
