"""How a retraining can end early."""

from __future__ import annotations

from shared.errors import PixError


class NothingToDo(PixError):
    """There is not enough to learn from yet: an outcome to record, not a failure."""


class BadDataset(PixError):
    """The training set contradicts itself; training on it would teach errors."""


class ExportFailed(PixError):
    """The exported model does not compute what the trained one does."""


class FitFailed(PixError):
    """A model that its parameters or its data did not let learn: another one may."""


class CannotContinue(PixError):
    """The champion's model cannot learn on: training anew is what remains."""
