"""Spans of time, each one file of the result: the same rows in the same files, however the input was divided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.batch.inputs import AT, ID
from shared.contract.event import EPOCH
from shared.errors import Misconfigured

HOUR = 3_600_000_000  # in microseconds
ORDER = [(AT, "ascending"), (ID, "ascending"), ("side", "ascending")]
"""The order of the rows, within files and from file to file."""


class Slice(NamedTuple):
    """Decisions of one span: the record batch `place` of an Arrow file of the folder, and the number of its rows."""

    span: int
    file: str
    place: int
    rows: int


def ordered(decisions: pa.Table) -> pa.Table:
    """Return decisions in ORDER, in one chunk."""
    whole = decisions.combine_chunks()
    return whole.take(pc.sort_indices(whole, ORDER)).combine_chunks()


def divided(decisions: pa.Table, hours: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number and the decisions of each span of some hours, from decisions in ORDER.

    >>> times = pa.array([0, HOUR, 30 * HOUR], pa.timestamp("us", tz="UTC"))
    >>> [(span, len(rows)) for span, rows in divided(pa.table({AT: times}), 24)]
    [(0, 2), (1, 1)]
    """
    spans = decisions[AT].cast(pa.int64()).to_numpy() // (hours * HOUR)
    borders = [0, *(np.flatnonzero(np.diff(spans)) + 1).tolist(), len(spans)]
    for start, end in pairwise(borders if len(spans) else []):
        yield int(spans[start]), decisions.slice(start, end - start)


def require_distinct(decisions: pa.Table) -> None:
    """Raise Misconfigured if a side of a Pix has several of the decisions in ORDER: none of them is the first."""
    ids, sides = decisions[ID], decisions["side"]
    n = len(ids)
    again = pc.and_(pc.equal(ids[1:], ids[: n - 1]), pc.equal(sides[1:], sides[: n - 1])) if n > 1 else None
    if again is not None and (repeated := pc.sum(again).as_py()):
        raise Misconfigured(f"{repeated:,} rows repeat a side of a Pix: give one row for each EndToEndId and side")


def file_name(span: int, hours: int) -> str:
    """Return the name of the file of a span, whose alphabetical order is that of time.

    >>> file_name(20_000, 24), file_name(40_001, 12)
    ('part-20241004T00.parquet', 'part-20241004T12.parquet')
    """
    start = EPOCH + dt.timedelta(hours=span * hours)
    return f"part-{start:%Y%m%dT%H}.parquet"
