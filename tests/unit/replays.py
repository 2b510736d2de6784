"""What tests of replays do again and again: make files, run the job, look at what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shared.features.state import State


def table_of(folder: Path, name: str) -> pa.Table:
    """Return the rows that a replay wrote for one table."""
    return pa.concat_tables(pq.read_table(file) for file in sorted(folder.glob(f"{name}-*.parquet")))


def records(state: State) -> Iterator[tuple[int, int, bytes]]:
    """Yield all records of a state, whatever their order."""
    for number, (keys, values) in enumerate(state.tables):
        yield from ((number, key, row.tobytes()) for key, row in zip(keys.tolist(), values, strict=True))
