"""What a retraining asks of the outside, beside `shared.ports.Blobs`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from msgspec import Struct

from shared.contract.rows import LedgerRow
from shared.learning.config import ModelFamily

Parameter = str | int | float | dt.datetime


Advance = Callable[[int, int, str], None]
"""Say of a step that so many of so many parts are done, and a word about it."""


class ShowStep(Protocol):
    """What a person sees of a job: the step it is at."""

    def __call__(self, name: str) -> AbstractContextManager[Advance]:
        """Show `name` while the block runs; the block may say how far it is."""
        ...


class RowExports(Protocol):
    """Queries whose results are too large to page through."""

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Run a query and leave its rows in `folder` as Parquet files. Raises Unavailable."""
        ...


class Queries(Protocol):
    """Queries that return a few rows."""

    def rows(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Return the rows of a query whose parameters are named `@name`. Raises Unavailable, Misconfigured."""
        ...


class Archive(Protocol):
    """Large objects in the bucket that are written once."""

    def create(self, name: str, write: Callable[[BinaryIO], None]) -> bool:
        """Let the object be what `write` writes to a file, unless there is one; return whether it was written.

        What is cut off on the way is no object. Raises Unavailable, Misconfigured, and what `write` raises.
        """
        ...

    def fetch(self, name: str, file: Path) -> bool:
        """Save the object as a file, and return whether there is one. Raises Unavailable."""
        ...


class Ledger(Protocol):
    """What happened to models, in `pix.model_ledger`."""

    def append(self, row: LedgerRow) -> None:
        """Append a row. Raises Unavailable."""
        ...

    def rows(self, since: dt.datetime) -> list[LedgerRow]:
        """Return the rows recorded from then on, oldest first, one for all that are alike. Raises Unavailable."""
        ...


class Trial(Struct, frozen=True):
    """A model that a search tried: its parameters, and the average precision on each fold and over all of them.

    `params` are those the family takes, the candidate's own and what the search chose. A pruned trial has only its
    first folds and no average precision over all, a failed one has what it got to.
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
    """What a run has found out: flat figures, the bundle's files by name, plots as PNG by name.

    `documents` are what people read of a run, by file name: its model card, its leaderboard, its verdict.
    """

    version: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]
    plots: Mapping[str, bytes]
    inputs: Sequence[str]
    documents: Mapping[str, bytes] = {}


class Snapshot(Struct, frozen=True):
    """The training set as it is stored: its content hash, its address, how many rows, and which features."""

    content_hash: str
    uri: str
    rows: int
    names: Sequence[str]


class Runs(Protocol):
    """The experiment tracker."""

    def start(self, params: Mapping[str, str]) -> str:
        """Open a run and return its id. Raises Unavailable."""
        ...

    def dataset(self, run_id: str, snapshot: Snapshot) -> None:
        """Say what a run trains on. Raises Unavailable."""
        ...

    def trial(self, run_id: str, trial: Trial) -> None:
        """Record a trial as a run within a run. Raises Unavailable."""
        ...

    def finish(self, run_id: str, report: RunReport | None) -> None:
        """Close a run: with its report, whose model is registered as challenger, or as failed. Raises Unavailable."""
        ...

    def close_stale(self, before: dt.datetime) -> list[str]:
        """Close, as failed, the runs that were opened before then and never closed, and return their ids.

        Raises Unavailable.
        """
        ...


class Registry(Protocol):
    """The catalogue of registered models."""

    def set_aliases(self, version: str, previous: str | None) -> None:
        """Let the aliases `champion` and `previous` name these, and `challenger` another. Raises Unavailable."""
        ...
