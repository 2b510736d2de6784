"""Rows as Arrow tables in the shape of a BigQuery table, for loading in bulk by way of Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contract.rows import FEATURE_PREFIX, Record, ScoreRow
from shared.contract.tables import Column, TableSpec, feature_columns

_TYPES = {
    "STRING": pa.string(),
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATE": pa.date32(),
    "NUMERIC": pa.decimal128(38, 9),
}


def arrow_table(table: TableSpec, rows: Sequence[Record]) -> pa.Table:
    """Return rows as an Arrow table with the columns of `table`, in its order; missing features are null."""
    values = [row.columns() for row in rows]
    plain = [column for column in table.schema if not column.name.startswith(FEATURE_PREFIX)]
    arrays = {column.name: _array(column, values) for column in plain}
    if rows and isinstance(rows[0], ScoreRow):
        arrays.update(_feature_arrays(rows))
    return pa.table([arrays[column.name] for column in table.schema], [column.name for column in table.schema])


def _array(column: Column, rows: Sequence[dict[str, Any]]) -> pa.Array:
    values = [row.get(column.name) for row in rows]
    kind = _TYPES[column.type]
    if column.type == "NUMERIC":
        values = [None if value is None else Decimal(value).scaleb(-2) for value in values]
    return pa.array(values, pa.list_(kind) if column.mode == "REPEATED" else kind)


def _feature_arrays(rows: Sequence[Any]) -> dict[str, pa.Array]:
    matrix = np.stack([row.features for row in rows]).T
    return {
        name: pa.array(np.ascontiguousarray(values), pa.float32(), from_pandas=True)
        for name, values in zip(feature_columns(), matrix, strict=True)
    }
