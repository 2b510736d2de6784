"""Rows as Arrow tables in the shape of a BigQuery table, for bulk loads of Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.rows import FEATURE_PREFIX, FillRow, Record, ScoreRow
from shared.contract.tables import Column, TableSpec, feature_columns, table

_TYPES = {
    "STRING": pa.string(),
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATE": pa.date32(),
    "NUMERIC": pa.decimal128(38, 9),
}
_CENTAVOS = pa.decimal128(36, 0), pa.decimal128(36, 2)


def arrow_table(table: TableSpec, rows: Sequence[Record]) -> pa.Table:
    """Return rows as an Arrow table with the columns of `table`, in its order; missing features are null."""
    values = [row.columns() for row in rows]
    plain = [column for column in table.schema if not column.name.startswith(FEATURE_PREFIX)]
    arrays = {column.name: _array(column, [row.get(column.name) for row in values]) for column in plain}
    if rows and isinstance(rows[0], ScoreRow | FillRow):
        arrays.update(_feature_arrays(np.stack([row.features for row in rows])))  # type: ignore[union-attr] # only rows of scores and fills have features
    return pa.table([arrays[column.name] for column in table.schema], [column.name for column in table.schema])


def plain_table(values: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return columns of `score_events`, given as n values each (times in microseconds, amounts in centavos)."""
    kinds = {column.name: column for column in table("score_events").schema}
    return pa.table({name: _array(kinds[name], each) for name, each in values.items()})


def score_table(plain: pa.Table, features: NDArray[np.float32]) -> pa.Table:
    """Return rows of `score_events`: the columns of `plain`, null where it lacks one, and features [n, F]."""
    found = _feature_arrays(features)
    columns = table("score_events").schema
    arrays = [
        found[column.name]
        if column.name in found
        else _cast(plain[column.name], column)
        if column.name in plain.column_names
        else pa.nulls(len(features), arrow_type(column))
        for column in columns
    ]
    return pa.table(arrays, [column.name for column in columns])


def _array(column: Column, values: Sequence[Any]) -> pa.Array:
    if column.type == "NUMERIC":
        return _decimals(values)
    return pa.array(values, arrow_type(column))


def _decimals(centavos: Sequence[int | None]) -> pa.Array:
    """Return BRL: the same digits, of which two are behind the point."""
    whole = pa.array(centavos, pa.int64()).cast(_CENTAVOS[0])
    return pa.Array.from_buffers(_CENTAVOS[1], len(whole), whole.buffers()).cast(_TYPES["NUMERIC"])


def arrow_type(column: Column) -> pa.DataType:
    """Return the type of the values of a column."""
    kind = _TYPES[column.type]
    return pa.list_(kind) if column.mode == "REPEATED" else kind


def _cast(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    return values if column.mode == "REPEATED" else values.cast(arrow_type(column))


def _feature_arrays(features: NDArray[np.float32]) -> dict[str, pa.Array]:
    return {
        name: pa.array(np.ascontiguousarray(values), pa.float32(), from_pandas=True)
        for name, values in zip(feature_columns(), features.T, strict=True)
    }
