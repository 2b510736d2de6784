"""Parquet of features with verdicts, and a small version in memory that decides them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shared.adapters.memory.serving import MemoryBlobs
from shared.batch.output import ResultFolder
from shared.batch.run import BatchRun
from shared.batch.scoring import BatchScorer, Method
from shared.scoring.bundle import path
from shared.scoring.rules import Rules
from tests.unit.learning.bundles import small_bundle
from tests.unit.learning.synthetic import examples

VERSION = "v1"
ROWS = 3_000


def written(file: Path, rows: pa.Table, row_group: int = 500) -> str:
    """Write rows as Parquet, and return the path."""
    pq.write_table(rows, file, row_group_size=row_group)
    return str(file)


def labelled(rows: int = ROWS) -> pa.Table:
    """Return rows over 60 days in no order of time."""
    return examples(rows)


def bucket(files: dict[str, bytes] | None = None) -> MemoryBlobs:
    """Return a bucket with one version."""
    blobs = MemoryBlobs()
    for name, data in (files or small_bundle(VERSION)).items():
        blobs.write(path(VERSION, name), data, 0)
    return blobs


def method(**facts: object) -> Method:
    """Return a method by the small version and the rules in force."""
    return Method(**{"files": small_bundle(VERSION), "rules": tuple(Rules.load().rules), **facts})  # type: ignore[arg-type] # facts of a test


def batch(folder: Path, hours: int = 24, **facts: object) -> BatchRun:
    """Return a batch into a folder that is claimed."""
    found = BatchRun(method(**facts), ResultFolder(str(folder)), hours)
    found.folder.claim()
    return found


def features(of: Method) -> list[str]:
    """Return the names of the features that decide."""
    return BatchScorer(of).features


def whole(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder by name."""
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def silent(*_: object) -> None:
    """Show nothing."""
