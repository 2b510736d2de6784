"""Errors of a retraining, each an early end of it or of one model.

PixError
├── NothingToDo      too little data: the run ends, successfully
├── BadDataset       the training set fails its checks: the run ends
├── ExportFailed     ONNX and scikit-learn disagree: the run ends
├── FitFailed        one trial ends, the search continues
└── CannotContinue   the incremental update is left out, the full training is not
"""

from __future__ import annotations

from shared.errors import PixError


class NothingToDo(PixError):
    """Too little data to train on or to measure with: an outcome to record, not a failure."""


class BadDataset(PixError):
    """The training set fails its quality checks, or a stored one its hash."""


class ExportFailed(PixError):
    """The exported model's scores differ from those of the trained one."""


class FitFailed(PixError):
    """scikit-learn refused a model's parameters or data, or the fit diverged; other models may still succeed."""


class CannotContinue(PixError):
    """The champion's model cannot be trained further; a full training still can."""
