"""Ports of a retraining, beside `shared.ports.blobs.Blobs`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from msgspec import Struct

from shared.contract.rows import LedgerRow
from shared.learning.specs.search import ModelFamily
from shared.ports.blobs import Checksum

ReportProgress = Callable[[int, int, str], None]
"""Report progress: parts done, parts in total, a short status."""


class StepProgress(Protocol):
    """Display of the step that a job is at."""

    def __call__(self, name: str) -> AbstractContextManager[ReportProgress]:
        """Show `name` and the block's progress while it runs."""
        ...


class Archive(Protocol):
    """Large objects in the bucket that are written once."""

    def create(self, name: str, write: Callable[[BinaryIO], None]) -> bool:
        """Create the object with the bytes that `write` writes, unless it exists; return whether it was created.

        An interrupted upload leaves no object. Raises Unavailable, Misconfigured, and any error of `write`.
        """
        ...

    def fetch(self, name: str, file: Path) -> bool:
        """Download the object to a file; return whether it exists. Raises Unavailable."""
        ...


class SharedArchive(Archive, Protocol):
    """An archive whose bucket knows the checksums of objects, and copies them."""

    def checksum(self, name: str) -> Checksum | None:
        """Return the checksum of the object, None if there is none. Raises Unavailable, Misconfigured."""
        ...

    def copy(self, name: str, target: str) -> None:
        """Copy the object within the bucket, unless the target exists. Raises Unavailable, Misconfigured."""
        ...


class Ledger(Protocol):
    """History of published models and pointer moves, in `pix.model_ledger`."""

    def append(self, row: LedgerRow) -> None:
        """Append a row. Raises Unavailable."""
        ...

    def rows(self, since: dt.datetime) -> list[LedgerRow]:
        """Return the distinct rows recorded at or after `since`, oldest first. Raises Unavailable."""
        ...


class Trial(Struct, frozen=True):
    """A trial of a search.

    `params` are the candidate's parameters with the values that the search chose. `folds` holds the average precision
    on each fold, `average_precision` their mean. A pruned or failed trial has only its first folds and no mean.
    """

    number: int
    candidate: str
    family: ModelFamily
    params: dict[str, Any]
    average_precision: float | None
    folds: list[float]
    seconds: float
    state: Literal["COMPLETE", "PRUNED", "FAILED"]


class RunReport(Struct, frozen=True):
    """Results of a run: figures by name, and its files by name.

    `files` are the bundle's and the model as joblib has it, `plots` are PNG, `documents` are the model card, the
    leaderboard and the gate's verdict. `inputs` names the model's features in order.
    """

    version: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]
    plots: Mapping[str, bytes]
    inputs: Sequence[str]
    documents: Mapping[str, bytes] = {}


class TrainingSnapshot(Struct, frozen=True):
    """A stored training set: its SHA-256, its address, its number of rows and the names of its features.

    `pointer` is the `.dvc` file by which users of DVC pull it, under the name `pointer_name`.
    """

    content_hash: str
    uri: str
    rows: int
    names: Sequence[str]
    pointer_name: str
    pointer: str


class Runs(Protocol):
    """The experiment tracker."""

    def start(self, params: Mapping[str, str]) -> str:
        """Open a run and return its id. Raises Unavailable."""
        ...

    def dataset(self, run_id: str, snapshot: TrainingSnapshot) -> None:
        """Record the training set of a run. Raises Unavailable."""
        ...

    def trial(self, run_id: str, trial: Trial) -> None:
        """Record a trial as a child of a run. Raises Unavailable."""
        ...

    def finish(self, run_id: str, report: RunReport | None) -> None:
        """Close a run and register its model as challenger, or mark the run failed if `report` is None.

        Raises Unavailable.
        """
        ...

    def close_stale(self, before: dt.datetime) -> list[str]:
        """Mark open runs that started before `before` failed, and return their ids. Raises Unavailable."""
        ...


class Registry(Protocol):
    """The catalogue of registered models."""

    def set_champion(self, version: str, previous: str | None) -> None:
        """Set the aliases `champion` and `previous`; the champion is no longer `challenger`. Raises Unavailable."""
        ...
