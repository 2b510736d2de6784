"""Rows as protocol buffers, in the type that the BigQuery Storage Write API needs for each column.

Source: https://cloud.google.com/bigquery/docs/supported-data-types (TIMESTAMP: int64 microseconds, DATE: int32 days,
NUMERIC: string).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

from shared.contract.rows import FEATURE_PREFIX, FillRow, Record, ScoreRow
from shared.contract.tables import Column, TableSpec

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "STRING": _Field.TYPE_STRING,
    "BOOL": _Field.TYPE_BOOL,
    "INT64": _Field.TYPE_INT64,
    "FLOAT64": _Field.TYPE_DOUBLE,
    "TIMESTAMP": _Field.TYPE_INT64,
    "DATE": _Field.TYPE_INT32,
    "NUMERIC": _Field.TYPE_STRING,
}
_WIRE_TYPE_DOUBLE = 1
_LAST_OF_ONE_BYTE = 15
"""The last field number whose tag takes one byte."""
_FIELD = np.dtype([("tag", "<u2"), ("value", "<f8")])
"""A feature on the wire."""


class RowEncoder:
    """Encode the rows of one table."""

    def __init__(self, table: TableSpec) -> None:
        self.descriptor = _descriptor(table)
        file = descriptor_pb2.FileDescriptorProto(name=f"{table.name}.proto", package="pix", syntax="proto2")
        file.message_type.append(self.descriptor)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._message: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"pix.{table.name}"))
        self._amounts = tuple(column.name for column in table.schema if column.type == "NUMERIC")
        self._feature_tags = _feature_tags(table.schema)

    def encode(self, rows: Sequence[Record]) -> list[bytes]:
        """Return each row serialised."""
        plain = [self._message(**_columns(row, self._amounts)).SerializeToString() for row in rows]
        scored = [row.features for row in rows if isinstance(row, ScoreRow | FillRow)]
        if not scored:
            return plain
        return [one + other for one, other in zip(plain, self._encode_features(scored), strict=True)]

    def _encode_features(self, vectors: Sequence[NDArray[np.float32]]) -> list[bytes]:
        """Return the encoded features of each vector, without the missing ones.

        A double on the wire is its tag and eight bytes, so a few NumPy calls lay out all vectors. Messages merge by
        concatenation (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
        """
        count, width = len(vectors), len(self._feature_tags)
        values = np.concatenate(vectors).reshape(count, width)
        present = np.flatnonzero(~np.isnan(values))
        fields = np.empty(len(present), dtype=_FIELD)  # filled column by column: a copy of records is slow
        fields["tag"], fields["value"] = np.tile(self._feature_tags, count).take(present), values.take(present)
        laid_out = fields.tobytes()
        ends = (present.searchsorted(np.arange(1, count + 1) * width) * _FIELD.itemsize).tolist()
        return [laid_out[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _columns(row: Record, amounts: Iterable[str]) -> dict[str, Any]:
    """Return the columns of a row that have a value, except its features."""
    columns = row.columns()
    for name in amounts:
        if name in columns:
            columns[name] = decimal(columns[name])
    return columns


def decimal(centavos: int) -> str:
    """Return BRL as a decimal string.

    >>> decimal(15005)
    '150.05'
    """
    return f"{centavos // 100}.{centavos % 100:02d}"


def _descriptor(table: TableSpec) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=table.name)
    for number, column in _numbered(table.schema):
        label = _Field.LABEL_REPEATED if column.mode == "REPEATED" else _Field.LABEL_OPTIONAL
        message.field.add(name=column.name, number=number, type=_TYPES[column.type], label=label)
    return message


def _numbered(schema: list[Column]) -> Iterator[tuple[int, Column]]:
    """Yield columns with their field numbers; features come last, and each of their tags takes two bytes."""
    plain = sum(not column.name.startswith(FEATURE_PREFIX) for column in schema)
    for number, column in enumerate(schema, start=1):
        yield (number if number <= plain else number - plain + max(plain, _LAST_OF_ONE_BYTE)), column


def _feature_tags(schema: list[Column]) -> NDArray[np.uint16]:
    """Return the two bytes of the tag of each feature [F], in the order of the columns."""
    numbers = (number for number, column in _numbered(schema) if column.name.startswith(FEATURE_PREFIX))
    tags = [number << 3 | _WIRE_TYPE_DOUBLE for number in numbers]
    # A varint of two bytes: field numbers 16 to 2,047.
    return np.array([tag & 0x7F | 0x80 | tag >> 7 << 8 for tag in tags], dtype="<u2")
