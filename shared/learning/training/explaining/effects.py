"""The contribution of every single input to the scores of a reference: how much the model makes of each.

A bundle explains scores by groups of inputs. Of the families that it explains exactly, the same values are exact by
single input, and computed once here; of the others they are the fall of the log-odds by occlusion.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.learning.data.profile import ExplainedRows
from shared.learning.training.explaining.explain import exact_builder, onnx_contributions
from shared.learning.training.export import onnx_scores
from shared.scoring.explanation import falls, log_odds

ROWS, OCCLUDED_ROWS, ABSENT_ROWS = 20_000, 500, 50
"""Rows of the reference that are explained, evenly spaced; occlusion asks the model once for each input of a row.

ABSENT_ROWS are explained with each input missing, too.
"""


def explained_inputs(
    model: Any, onnx: bytes, background: NDArray[np.float32], reference: NDArray[np.float32]
) -> ExplainedRows:
    """Return the contributions of the F inputs of a model to rows of a reference [n, F], in log-odds.

    `background` [m, F] are the vectors that exact contributions are measured against.
    """
    build, inputs = exact_builder(model), reference.shape[1]
    few = _evenly(reference, ABSENT_ROWS)
    if build is None:
        rows = _evenly(reference, OCCLUDED_ROWS)
        return ExplainedRows(rows, *_occluded(onnx, rows, few, reference))
    data = build(model, background, np.arange(inputs), inputs)
    rows = _evenly(reference, ROWS)
    blank = onnx_contributions(data, _with_each(few, np.full(inputs, np.nan, dtype=np.float32)))
    absent = blank.reshape(len(few), inputs, inputs).diagonal(axis1=1, axis2=2).mean(axis=0)
    return ExplainedRows(rows, onnx_contributions(data, rows), absent)


def _evenly(reference: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    chosen = np.linspace(0, len(reference) - 1, min(most, len(reference))).astype(np.intp)
    return np.ascontiguousarray(reference[chosen])


def _with_each(rows: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row [n, F] once with every value [F] in place of its own, [n * F, F]."""
    inputs = rows.shape[1]
    copies = np.repeat(rows[:, np.newaxis], inputs, axis=1)
    copies[:, np.arange(inputs), np.arange(inputs)] = values
    return copies.reshape(-1, inputs)


def _occluded(
    onnx: bytes, rows: NDArray[np.float32], few: NDArray[np.float32], reference: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fall of the log-odds of rows [n, F] with each input at its median, and of few with it missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an input without any value has no median
        usual = np.nanmedian(reference, axis=0).astype(np.float32)

    def told(each: NDArray[np.float32]) -> NDArray[np.float64]:
        return log_odds(onnx_scores(onnx, each))

    single = [np.array([j], dtype=np.intp) for j in range(rows.shape[1])]
    blank, filled = (told(_with_each(few, value)) for value in (np.full_like(usual, np.nan), usual))
    absent = (blank - filled).reshape(len(few), -1).mean(axis=0)
    return falls(rows, told, usual, single).astype(np.float64), absent
