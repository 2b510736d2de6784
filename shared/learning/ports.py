"""What a retraining asks of the outside, beside `shared.ports.Blobs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct


class Exports(Protocol):
    """Queries whose results are too large to page through."""

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Run a query and leave its rows in `folder` as Parquet files. Raises Unavailable."""
        ...


class Trial(Struct, frozen=True):
    """A model that a search tried: its parameters, and the average precision on each fold and over all of them.

    `params` are those the family takes, the candidate's own and what the search chose. A pruned trial has only its
    first folds and no average precision over all, a failed one has what it got to.
    """

    number: int
    candidate: str
    family: str
    params: dict[str, Any]
    average_precision: float | None
    folds: list[float]
    seconds: float
    state: Literal["COMPLETE", "PRUNED", "FAILED"]


class Report(Struct, frozen=True):
    """What a run has found out: flat figures, the bundle's files by name, plots as PNG by name."""

    version: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]
    plots: Mapping[str, bytes]
    inputs: Sequence[str]


class Runs(Protocol):
    """The experiment tracker."""

    def start(self, params: Mapping[str, str]) -> str:
        """Open a run and return its id. Raises Unavailable."""
        ...

    def finish(self, run_id: str, report: Report | None) -> None:
        """Close a run: with its report, whose model is registered as challenger, or as failed. Raises Unavailable."""
        ...


class Registry(Protocol):
    """The catalogue of registered models."""

    def appoint(self, version: str) -> None:
        """Name `version` the champion, and the champion before it `previous`. Raises Unavailable."""
        ...
