"""The machines of a training: those that take its sample, evaluate its search, and fit candidates to all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.learning.data.dataset import SampledRows, sampled_by_tables
from shared.learning.data.label_chance import LabelRates
from shared.learning.data.training_query import TrainingQuery
from shared.learning.specs.search import AllRowsCandidate
from shared.learning.training.amounts import AmountWeights
from shared.learning.training.evaluation import Evaluate, FoldData, evaluate_here
from shared.ports.tables import RowExports


class AllRows(NamedTuple):
    """The rows to fit to: all that were initiated from `since` to `until`, both included, in microseconds.

    `names` are their features; `rates` and `weight_max` make the weights of labels (see `label_chance`), times
    `amounts`, whose frauds are all in the sample.
    """

    names: Sequence[str]
    since: int
    until: int
    rates: LabelRates
    weight_max: float
    amounts: AmountWeights


class Grown(NamedTuple):
    """A model of trees of one of our families, and the indexes of the features that it reads."""

    model: Any
    columns: NDArray[np.intp]


Grow = Callable[[AllRowsCandidate, AllRows, int], Grown]
"""Fit a candidate to all rows with a seed. Raises FitFailed, ExportFailed, Misconfigured, Unavailable."""


Export = Callable[[RowExports, str], Sequence[str]]
"""Export the rows of a query as Parquet; return the paths or URIs, which all machines of an engine reach."""


class TrainingEngine(Protocol):
    """The machines of a training."""

    @property
    def grow(self) -> Grow | None:
        """The fit to all rows, None if the engine has the sample alone."""
        ...

    def sample(
        self, exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
    ) -> SampledRows:
        """Take a sample, as `shared.learning.data.dataset.SampleRows`."""
        ...

    def evaluator(self, folds: Sequence[FoldData], seed: int) -> Evaluate:
        """Return the evaluation of a search's attempts."""
        ...


class LocalTraining:
    """This machine alone: BigQuery takes the sample, and this process fits."""

    grow: Grow | None = None

    def sample(
        self, exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
    ) -> SampledRows:
        """Let BigQuery take the sample. Raises Unavailable, Misconfigured."""
        return sampled_by_tables(exports, query, names, legitimate, folder)

    def evaluator(self, folds: Sequence[FoldData], seed: int) -> Evaluate:
        """Return the evaluation in this process."""
        return evaluate_here(folds, seed)


HERE = LocalTraining()
