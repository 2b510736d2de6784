"""In-memory twins of what a retraining asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import Unavailable
from shared.learning.ports import Report


class MemoryExports:
    """`shared.learning.ports.Exports` that gives one table, in `parts` files, whatever the query says."""

    def __init__(self, table: pa.Table, parts: int = 1) -> None:
        self.table = table
        self.parts = parts
        self.away = False

    def export(self, sql: str, folder: Path) -> list[Path]:  # noqa: ARG002
        """Leave the table in `folder`. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the query engine is away")
        size = -(-len(self.table) // self.parts)
        files = [folder / f"{i}.parquet" for i in range(self.parts)]
        for i, file in enumerate(files):
            pq.write_table(self.table.slice(i * size, size), file)
        return files


class MemoryRuns:
    """`shared.learning.ports.Runs` and `Registry`: runs by id, and which version each alias names."""

    def __init__(self) -> None:
        self.params: dict[str, Mapping[str, str]] = {}
        self.reports: dict[str, Report | None] = {}
        self.aliases: dict[str, str] = {}
        self.away = False

    def start(self, params: Mapping[str, str]) -> str:
        """Open a run. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        run_id = f"run-{len(self.params)}"
        self.params[run_id] = params
        return run_id

    def finish(self, run_id: str, report: Report | None) -> None:
        """Close a run. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        self.reports[run_id] = report
        if report:
            self.aliases["challenger"] = report.version

    def appoint(self, version: str) -> None:
        """Name the champion, and `previous`. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the registry is away")
        before = self.aliases.get("champion")
        if before and before != version:
            self.aliases["previous"] = before
        self.aliases["champion"] = version
        if self.aliases.get("challenger") == version:
            del self.aliases["challenger"]
