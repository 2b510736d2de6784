"""Rows of `pix.score_events` in Arrow as facts of messages: `Columns` without an object for each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.arrays import Floats
from shared.features.columns import Codes, Columns, Flags
from shared.features.keys import ID_WIDTH, Keys, keys_of
from shared.features.statistics import statistics_matrix

EVENT_COLUMNS = Event.__struct_fields__
"""The columns that facts are computed from."""


def columns_of(rows: pa.Table | pa.RecordBatch) -> Columns:
    """Return the facts of rows, equal to those of their events to the last bit."""
    return Columns.read(_ArrowReader(rows))


class _ArrowReader:
    """Columns of `score_events`, in the types of BigQuery's exports or of Event."""

    def __init__(self, rows: pa.Table | pa.RecordBatch) -> None:
        self._rows = rows

    def keys(self, *names: str) -> Sequence[Keys]:
        return [keys(self._rows[name]) for name in names]

    def micros(self, name: str) -> Floats:
        return micros(self._rows[name])

    def days(self, name: str) -> Floats:
        return _days(self._rows[name])

    def centavos(self, name: str) -> Floats:
        return _centavos(self._rows[name])

    def flags(self, name: str) -> Floats:
        return floats(self._rows[name])

    def floats(self, name: str) -> Floats:
        return floats(self._rows[name])

    def returns(self, name: str) -> Flags:
        found: Flags = _numpy(pc.starts_with(self._rows[name], "D"))
        return found

    def codes(self, name: str, known: tuple[str, ...]) -> Codes:
        return _codes(known, self._rows[name])

    def same(self, one: str, other: str) -> Floats:
        return floats(pc.equal(self._rows[one], self._rows[other]))

    def statistics(self, name: str) -> Floats:
        return _statistics(self._rows[name])


def keys(ids: Any) -> Keys:
    """Return the keys [n] of a column of pseudonyms; null has the key 0."""
    padded = pc.ascii_rpad(pc.utf8_slice_codeunits(pc.fill_null(ids, ""), 0, ID_WIDTH), ID_WIDTH, "\0")
    array = _array(padded).cast(pa.string())
    if not len(array):
        return np.empty(0, dtype=np.uint64)
    first = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset]
    return keys_of(np.frombuffer(array.buffers()[2], dtype=f"S{ID_WIDTH}", count=len(array), offset=int(first)))


def micros(times: Any) -> Floats:
    """Return a column of timestamps as microseconds [n]; null is NaN.

    A year before 1685 or after 2255 is rounded as NumPy rounds it: rows stored before such times were refused still
    yield the features that were stored with them.
    """
    if pa.types.is_timestamp(times.type):
        times = times.cast(pa.timestamp("us", tz=times.type.tz)).cast(pa.int64())
    return floats(times.cast(pa.float64(), safe=False))


def whole(numbers: Any, missing: int) -> NDArray[np.int64]:
    """Return a column of integers or timestamps [n]."""
    if pa.types.is_timestamp(numbers.type):
        numbers = numbers.cast(pa.timestamp("us", tz=numbers.type.tz))
    return _numpy(pc.fill_null(numbers.cast(pa.int64()), missing))


def _centavos(amounts: Any) -> Floats:
    """Return decimals in BRL as whole centavos; exact up to 2^53."""
    return np.rint(floats(amounts) * 100.0)


def _days(dates: Any) -> Floats:
    if pa.types.is_date(dates.type):
        dates = dates.cast(pa.date32()).cast(pa.int32())
    return floats(dates)


def _codes(known: tuple[str, ...], names: Any) -> Codes:
    """Return the code of each value, as `Columns` has them: any other value has the code after those known."""
    places = pc.fill_null(pc.index_in(names, value_set=pa.array(known, names.type)), len(known))
    return np.where(_numpy(pc.is_null(names)), -1, _numpy(places)).astype(np.int8)


def floats(values: Any) -> Floats:
    """Return a column of numbers or flags [n]; null is NaN."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    return _numpy(pc.fill_null(values.cast(pa.float64()), np.nan))


def _statistics(texts: Any) -> Floats:
    """Decode each text once: a frequent payee repeats the same statistics."""
    coded = _array(texts).dictionary_encode()
    distinct = statistics_matrix([*coded.dictionary.to_pylist(), None])
    return np.ascontiguousarray(distinct[:, _numpy(pc.fill_null(coded.indices, len(coded.dictionary)))])


def _array(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _numpy(values: Any) -> NDArray[Any]:
    found: NDArray[Any] = _array(values).to_numpy(zero_copy_only=False)
    return found
