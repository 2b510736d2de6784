"""Sinks of a replay: numbered Parquet files in a folder, or in the bucket for a load into BigQuery."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

PART_ROWS = 32_768
"""Rows of a file, about 10 MB of them."""


class PartStore(Protocol):
    """A place for numbered files."""

    def put(self, number: int, data: bytes) -> None:
        """Write a file, replacing one of the same number from an interrupted replay. Raises PixError."""
        ...

    def finish(self, parts: int) -> int:
        """Load the files; return the number of rows, or of files. Raises PixError."""
        ...


class ParquetParts:
    """Rows of one table, written in files of PART_ROWS."""

    def __init__(self, store: PartStore) -> None:
        self._store = store
        self._tables: list[pa.Table] = []
        self._rows = 0
        self.count = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows. Raises PixError."""
        self._tables.append(rows)
        self._rows += rows.num_rows
        if self._rows >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the pending rows. Raises PixError."""
        if self._rows:
            buffer = io.BytesIO()
            pq.write_table(pa.concat_tables(self._tables), buffer, compression="zstd", use_dictionary=False)
            self._store.put(self.count, buffer.getvalue())
            self.count += 1
        self._tables, self._rows = [], 0

    def finish(self) -> None:
        """Write the pending rows and load all files. Raises PixError."""
        self.flush()
        if self.count:
            self._store.finish(self.count)


class Folder:
    """Files `<table>-000000.parquet` in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name

    def put(self, number: int, data: bytes) -> None:
        """Write a file."""
        (self._folder / f"{self._name}-{number:06d}.parquet").write_bytes(data)

    def finish(self, parts: int) -> int:
        """Remove files of a higher number, left by an earlier replay."""
        for file in sorted(self._folder.glob(f"{self._name}-*.parquet"))[parts:]:
            file.unlink()
        return parts
