"""In-memory twins of the ports of a retraining."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from shared.contract.event import micros
from shared.contract.rows import HealthRow, LedgerRow
from shared.errors import Misconfigured, Unavailable
from shared.learning.ports import RunReport, TrainingSnapshot, Trial
from shared.ports.blobs import Checksum
from shared.ports.tables import Parameter


class MemoryExports:
    """`shared.ports.tables.RowExports` that gives one table, in `parts` files, but for some queries another.

    `others` holds the table for queries that contain a text.
    """

    def __init__(self, table: pa.Table, parts: int = 1, others: Mapping[str, pa.Table] | None = None) -> None:
        self.table = table
        self.parts = parts
        self.others = dict(others or {})
        self.away = False

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Leave the table in `folder`. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the query engine is away")
        table = next((other for text, other in self.others.items() if text in sql), self.table)
        size = -(-len(table) // self.parts)
        files = [folder / f"{i}.parquet" for i in range(self.parts)]
        for i, file in enumerate(files):
            pq.write_table(table.slice(i * size, size), file)
        return files


class MemoryQueries:
    """`shared.ports.tables.Queries` that gives the result of `answer` for a query and its parameters."""

    def __init__(self, answer: Callable[[str, Mapping[str, Parameter]], list[dict[str, Any]]]) -> None:
        self.answer = answer
        self.away = False

    def rows(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Return the answer. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the query engine is away")
        return self.answer(sql, parameters)


class MemoryArchive:
    """`shared.learning.ports.SharedArchive` over a dict; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.away = False

    def create(self, name: str, write: Callable[[BinaryIO], None]) -> bool:
        """Keep the output of `write`, unless the object exists. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the bucket is away")
        if name in self.objects:
            return False
        write(file := io.BytesIO())
        return self.objects.setdefault(name, written := file.getvalue()) is written

    def fetch(self, name: str, file: Path) -> bool:
        """Save the object as a file, and return whether there is one. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the bucket is away")
        if name in self.objects:
            file.write_bytes(self.objects[name])
        return name in self.objects

    def checksum(self, name: str) -> Checksum | None:
        """Return the checksum of the object, None if there is none. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the bucket is away")
        data = self.objects.get(name)
        return None if data is None else Checksum(hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data))

    def copy(self, name: str, target: str) -> None:
        """Copy the object, unless the target exists. Raises Unavailable while away, Misconfigured without it."""
        if self.away:
            raise Unavailable("the bucket is away")
        if name not in self.objects:
            raise Misconfigured(f"{name} does not exist")
        self.objects.setdefault(target, self.objects[name])


class MemoryLedger:
    """`shared.learning.ports.Ledger` over a list; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.stored: list[LedgerRow] = []
        self.away = False

    def append(self, row: LedgerRow) -> None:
        """Append a row. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the ledger is away")
        self.stored.append(row)

    def rows(self, since: dt.datetime) -> list[LedgerRow]:
        """Return the rows from then on, oldest first, one for all that are alike. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the ledger is away")
        recent = [row for row in self.stored if row.recorded_at >= micros(since)]
        return sorted(dict.fromkeys(recent), key=lambda row: row.recorded_at)


class MemoryHealth:
    """`shared.learning.monitoring.monitor.HealthRows` over a list; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.stored: list[HealthRow] = []
        self.away = False

    def append(self, rows: Sequence[HealthRow]) -> None:
        """Append rows. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the table is away")
        self.stored += rows


class MemoryRuns:
    """`shared.learning.ports.Runs` and `Registry`: runs by id, and which version each alias names."""

    def __init__(self, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self.started_at: dict[str, dt.datetime] = {}
        self.snapshots: dict[str, TrainingSnapshot] = {}
        self.trials: dict[str, list[Trial]] = {}
        self._clock = clock
        self.params: dict[str, Mapping[str, str]] = {}
        self.reports: dict[str, RunReport | None] = {}
        self.aliases: dict[str, str] = {}
        self.away = False

    def start(self, params: Mapping[str, str]) -> str:
        """Open a run. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        run_id = f"run-{len(self.params)}"
        self.params[run_id] = params
        self.started_at[run_id] = self._clock()
        return run_id

    def dataset(self, run_id: str, snapshot: TrainingSnapshot) -> None:
        """Record the training set of a run. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        self.snapshots[run_id] = snapshot

    def trial(self, run_id: str, trial: Trial) -> None:
        """Record a trial. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        self.trials.setdefault(run_id, []).append(trial)

    def finish(self, run_id: str, report: RunReport | None) -> None:
        """Close a run. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        self.reports[run_id] = report
        if report:
            self.aliases["challenger"] = report.version

    def close_stale(self, before: dt.datetime) -> list[str]:
        """Close as failed the runs opened before a moment and never closed. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the tracker is away")
        stale = [run_id for run_id, at in self.started_at.items() if at < before and run_id not in self.reports]
        self.reports.update(dict.fromkeys(stale))
        return stale

    def set_champion(self, version: str, previous: str | None) -> None:
        """Let the aliases name these versions. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the registry is away")
        named = {"champion": version} | ({"previous": previous} if previous else {})
        kept = {name: held for name, held in self.aliases.items() if name == "challenger" and held != version}
        self.aliases = kept | named
