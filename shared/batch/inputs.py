"""Parquet of features, divided into parts that are read and scored independently of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured, Unavailable
from shared.features.catalogue import FEATURE_NAMES

PART_ROWS = 262_144
"""Rows of a part at least, unless a file has fewer: enough that the model is loaded rarely in comparison."""
BATCH_ROWS = 8_192
"""Rows read and scored at a time: 13 MB of features, and enough that the calls for each batch cost little."""
ID, AT, SCHEDULED = "end_to_end_id", "initiated_at", "scheduled_for"
_LINE = 16  # float32 of a cache line
_LISTED = 5  # columns named in an error


class Part(NamedTuple):
    """Some row groups of a Parquet file, named as `pyarrow.fs` names it, and the number of their rows."""

    uri: str
    first: int
    groups: int
    rows: int


class Inputs(NamedTuple):
    """The parts of all files in order, and the columns to read of them."""

    parts: list[Part]
    columns: tuple[str, ...]

    @property
    def rows(self) -> int:
        """The number of rows of all parts."""
        return sum(part.rows for part in self.parts)


def located(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it. Raises Misconfigured."""
    if "://" not in place:
        return fs.LocalFileSystem(), place
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(place)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Misconfigured(f"{place.partition('://')[0]}:// is not a storage that Arrow knows") from error
    return found


def inputs(places: Sequence[str], features: Sequence[str], part_rows: int = PART_ROWS) -> Inputs:
    """Return the parts of the Parquet files at paths or URIs of files or folders. Raises Misconfigured, Unavailable.

    `features` are the names of those that model and rules read.
    """
    parts: list[Part] = []
    scheduled = True
    for uri in [uri for place in places for uri in _files(place)]:
        storage, path = located(uri)
        with opened(storage, path) as file:
            require(file.schema_arrow, features, uri)
            scheduled = scheduled and SCHEDULED in file.schema_arrow.names
            parts += _divided(uri, file.metadata, part_rows)
    return Inputs(parts, columns_of(features, scheduled))


def columns_of(features: Sequence[str], scheduled: bool) -> tuple[str, ...]:
    """Return the names of the columns to read; `scheduled` if the rows have the time of a scheduled Pix."""
    return (ID, AT, *([SCHEDULED] if scheduled else []), *(FEATURE_PREFIX + name for name in features))


def require(schema: pa.Schema, features: Sequence[str], name: str) -> None:
    """Raise Misconfigured unless a schema has an id, a time and all features, as `pix.score_events` has them."""
    kinds = dict(zip(schema.names, schema.types, strict=True))
    numbers = [FEATURE_PREFIX + each for each in features]
    if lacking := [each for each in (ID, AT, *numbers) if each not in kinds]:
        raise Misconfigured(f"{name} lacks {len(lacking)} columns of features as served: {lacking[:_LISTED]}")
    odd = [each for each in numbers if not (pa.types.is_floating(kinds[each]) or pa.types.is_null(kinds[each]))]
    odd += [each for each in (AT, SCHEDULED) if each in kinds and not _is_time(kinds[each])]
    odd += [] if pa.types.is_string(kinds[ID]) or pa.types.is_large_string(kinds[ID]) else [ID]
    if odd:
        raise Misconfigured(f"{name} has columns of another type than pix.score_events: {odd[:_LISTED]}")


def batches(part: Part, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a part, at most BATCH_ROWS at a time. Raises Misconfigured, Unavailable."""
    storage, path = located(part.uri)
    with opened(storage, path) as file:
        groups = list(range(part.first, part.first + part.groups))
        try:
            yield from file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(columns), use_threads=False)
        except OSError as error:
            raise Unavailable(f"{part.uri} could not be read to its end: {type(error).__name__}") from error


def opened(storage: fs.FileSystem, path: str) -> pq.ParquetFile:
    """Open a Parquet file. Raises Misconfigured, Unavailable."""
    try:
        return pq.ParquetFile(path, filesystem=storage)
    except pa.ArrowInvalid as error:
        raise Misconfigured(f"{path} is not a Parquet file") from error
    except FileNotFoundError as error:
        raise Misconfigured(f"{path} does not exist") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {type(error).__name__}") from error


class Vectors:
    """The vectors of one batch of rows after another, in memory that is used again, as new memory is slow."""

    def __init__(self, features: Sequence[str]) -> None:
        """`features` are the names of those to read."""
        self._places = [(FEATURE_NAMES.index(name), FEATURE_PREFIX + name) for name in features]
        self._columns = _memory(0)

    def of(self, rows: pa.RecordBatch) -> NDArray[np.float32]:
        """Return the vectors [n, len(FEATURE_NAMES)] of rows, valid until the next call.

        They are NaN where a feature is NULL or not among those to read. The values of a feature lie side by side, as
        in the rows that are read, and as trees and rules compare them.
        """
        n = rows.num_rows
        if n > self._columns.shape[1]:
            self._columns = _memory(n)
        columns = self._columns[:, :n]
        for place, name in self._places:
            columns[place] = rows.column(name).to_numpy(zero_copy_only=False)
        return columns.T


def _memory(rows: int) -> NDArray[np.float32]:
    """Return places for features by column, NaN.

    A column has an odd number of cache lines: else all values of a row compete for a few places of the cache.
    """
    lines = (rows // _LINE + 1) | 1
    return np.full((len(FEATURE_NAMES), lines * _LINE), np.nan, dtype=np.float32)


def _files(place: str) -> list[str]:
    """Return the Parquet files at a path or URI, by name. Raises Misconfigured, Unavailable."""
    storage, path = located(place)
    try:
        info = storage.get_file_info(path)
        if info.type == fs.FileType.File:
            return [place]
        if info.type == fs.FileType.NotFound:
            raise Misconfigured(f"{place} does not exist")
        inside = storage.get_file_info(fs.FileSelector(path, recursive=True))
    except OSError as error:
        raise Unavailable(f"{place} cannot be listed: {type(error).__name__}") from error
    prefix = place.partition("://")[0] + "://" if "://" in place else ""
    found = sorted(prefix + each.path for each in inside if each.path.endswith(".parquet"))
    if not found:
        raise Misconfigured(f"{place} has no file named *.parquet")
    return found


def _divided(uri: str, metadata: pq.FileMetaData, part_rows: int) -> Iterator[Part]:
    """Yield consecutive row groups of a file in parts of at least `part_rows`, the last one perhaps smaller."""
    first = rows = 0
    for group in range(metadata.num_row_groups):
        rows += metadata.row_group(group).num_rows
        if rows >= part_rows or group == metadata.num_row_groups - 1:
            if rows:
                yield Part(uri, first, group - first + 1, rows)
            first, rows = group + 1, 0


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind))
