"""Ports of tables: rows appended, queries, and rows exported to the bucket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from shared.contract.rows import Record


class Table(Protocol):
    """Rows that are appended and never changed."""

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; return, once they are visible, the indexes of those that the table refuses.

        Raises Unavailable unless all other rows are known to be stored.
        """
        ...


Parameter = str | int | float | dt.datetime
"""A value of a query parameter."""


class Queries(Protocol):
    """Queries that return a few rows."""

    def rows(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Return the rows of a query whose parameters are named `@name`. Raises Unavailable, Misconfigured."""
        ...


class RowExports(Protocol):
    """Queries whose results are too large to page through."""

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Run a query and write its rows to `folder` as Parquet files. Raises Unavailable, Misconfigured."""
        ...


class StagedExports(RowExports, Protocol):
    """Query results that stay in the bucket under a name, to be read once or again."""

    def stage(self, sql: str, name: str) -> None:
        """Write the rows of a query under `name`, in the query's order. Raises Unavailable, Misconfigured."""
        ...

    def staged(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield the Parquet files under `name` one after the other; each is deleted before the next one.

        Raises Unavailable, Misconfigured.
        """
        ...

    def clear(self, name: str) -> None:
        """Delete everything under `name`."""
        ...
