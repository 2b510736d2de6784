"""Tables and records that a replay wrote."""

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
    """Yield all records of a state, in no particular order."""
    for number, (keys, values) in enumerate(state.tables):
        yield from ((number, key, row.tobytes()) for key, row in zip(keys.tolist(), values, strict=True))
