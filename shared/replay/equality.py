"""The rows of two replays, compared value by value, however their files divide them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.replay.sinks import PART_ROWS


def compared(one: Path, other: Path) -> tuple[int, int]:
    """Return the number of values in the rows of two replays, and of those that differ.

    Raises ValueError if they have other columns or numbers of rows.
    """
    values = differing = 0
    for rows, others in zip_longest(_pieces(one), _pieces(other)):
        if rows is None or others is None or rows.schema != others.schema or len(rows) != len(others):
            raise ValueError("the replays wrote other rows")
        values += len(rows) * rows.num_columns
        differing += sum(map(_unequal, rows.columns, others.columns))
    return values, differing


def _pieces(folder: Path) -> Iterator[pa.Table]:
    """Yield the rows of a replay PART_ROWS at a time, however its files divide them."""
    waiting: list[pa.Table] = []
    for file in sorted(folder.glob("score_events-*.parquet")):
        waiting.append(pq.read_table(file))
        while sum(map(len, waiting)) >= PART_ROWS:
            rows = pa.concat_tables(waiting)
            yield rows.slice(0, PART_ROWS)
            waiting = [rows.slice(PART_ROWS)]
    yield pa.concat_tables(waiting)


def _unequal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> int:
    if one.equals(other):
        return 0
    if pa.types.is_list(one.type):
        return sum(map(_is_other, one.to_pylist(), other.to_pylist()))
    same = pc.fill_null(pc.equal(one, other), False)
    both_null = pc.and_(pc.is_null(one), pc.is_null(other))
    return len(one) - int(pc.sum(pc.or_(same, both_null)).as_py())


def _is_other(one: object, other: object) -> bool:
    return one != other
