"""Read columns of Parquet files into arrays, one column at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray


class ColumnSummary(NamedTuple):
    """Number of missing values of a column, and the least and largest value present (NaN if none is)."""

    missing: int
    low: float
    high: float


class FeatureMatrix(NamedTuple):
    """Features, float32 [n, F] in Fortran order, with the SHA-256 and the summary of each column."""

    values: NDArray[np.float32]
    digests: list[str]
    summaries: list[ColumnSummary]

    def take(self, rows: NDArray[np.bool_]) -> FeatureMatrix:
        """Return the rows that are true in `rows` [n], in the same memory: `values` are lost."""
        kept, columns = int(np.count_nonzero(rows)), self.values.shape[1]
        memory = self.values.reshape(-1, order="F")
        for j in range(columns):
            memory[j * kept : (j + 1) * kept] = self.values[rows, j]  # a copy, before anything is written over it
        values = memory[: columns * kept].reshape((kept, columns), order="F")
        digests = [digest(values[:, j]) for j in range(columns)]
        summaries = [_summary(values[:, j], int(np.isnan(values[:, j]).sum())) for j in range(columns)]
        return FeatureMatrix(values, digests, summaries)


class ParquetColumns:
    """Columns of Parquet files of one table. Not thread-safe."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [pq.ParquetFile(file) for file in files]

    def __enter__(self) -> ParquetColumns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    @property
    def schemas(self) -> list[pa.Schema]:
        """The schema of each file."""
        return [file.schema_arrow for file in self._files]

    def __len__(self) -> int:
        return sum(file.metadata.num_rows for file in self._files)

    def column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        """Return one column of all files, cast to an Arrow type."""
        parts = [
            file.read(columns=[name], use_threads=False).column(0).cast(kind, safe=False) for file in self._files
        ]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)

    def numbers(self, name: str, kind: pa.DataType) -> NDArray[Any]:
        """Return one column of all files [n]; NULL becomes NaN."""
        column = self.column(name, kind)
        if pa.types.is_floating(kind):  # ten times as fast as a conversion of NULL by to_numpy
            column = pc.fill_null(column, pa.scalar(np.nan, kind))
        return np.asarray(column.to_numpy())

    def categories(self, name: str) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """Return the distinct strings of a column in alphabetical order, and each row's index, int32 [n].

        NULL becomes "".
        """
        encoded = self.column(name, pa.string()).combine_chunks().dictionary_encode()
        # The entry "" for NULL comes last; np.unique merges it with an empty string of the column.
        strings = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
        values, ranks = np.unique(strings.astype(str), return_inverse=True)
        codes = ranks[encoded.indices.fill_null(len(strings) - 1).to_numpy(zero_copy_only=False)]
        used, codes = np.unique(codes, return_inverse=True)
        return tuple(values[used].tolist()), codes.astype(np.int32)


def read_matrix(files: Sequence[Path], names: Sequence[str], order: NDArray[np.intp]) -> FeatureMatrix:
    """Return columns of Parquet files as float32, rows sorted by `order` [n]; NULL becomes NaN.

    Each thread reads its share of the columns one at a time, so peak memory is the matrix and two columns a thread.
    """
    values = np.empty((len(order), len(names)), dtype=np.float32, order="F")
    threads = max(1, min(os.cpu_count() or 1, len(names)))
    shares = [range(start, len(names), threads) for start in range(threads)]
    read = partial(_read_share, files, names, order, values)
    with ThreadPoolExecutor(threads) as pool:
        found = dict(pair for pairs in pool.map(read, shares) for pair in pairs)
    return FeatureMatrix(values, [found[j][0] for j in range(len(names))], [found[j][1] for j in range(len(names))])


def _read_share(
    files: Sequence[Path],
    names: Sequence[str],
    order: NDArray[np.intp],
    values: NDArray[np.float32],
    share: range,
) -> list[tuple[int, tuple[str, ColumnSummary]]]:
    """Fill a share of the columns of `values`; return the index of each with its digest and summary."""
    found = []
    with ParquetColumns(files) as source:
        for j in share:
            column = values[:, j]
            np.take(source.numbers(names[j], pa.float32()), order, out=column, mode="clip")
            missing = np.isnan(column)
            # NaN has many bit patterns; the digest must depend on one only.
            np.copyto(column, np.nan, where=missing)
            found.append((j, (digest(column), _summary(column, int(np.count_nonzero(missing))))))
    return found


def _summary(column: NDArray[np.float32], missing: int) -> ColumnSummary:
    if missing == len(column):
        return ColumnSummary(missing, np.nan, np.nan)
    return ColumnSummary(missing, float(np.fmin.reduce(column)), float(np.fmax.reduce(column)))


def digest(column: NDArray[Any]) -> str:
    """Return the SHA-256 of a contiguous array's dtype and bytes.

    >>> digest(np.float32([1, 2])) == digest(np.float64([1, 2]))
    False
    """
    total = hashlib.sha256(column.dtype.str.encode())
    total.update(column.data)
    return total.hexdigest()
