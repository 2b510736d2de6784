"""Rows of tables, as a query returns them, as the records that were appended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from msgspec import Struct

from shared.contract.event import days, micros
from shared.contract.tables import table

T = TypeVar("T", bound=Struct)


def stored(kind: type[T], name: str, row: Mapping[str, Any]) -> T:
    """Return the record in a row of table `name`; a column that is NULL or absent gives the default of its field.

    Raises TypeError if there is no default.

    >>> from datetime import datetime
    >>> from shared.contract.rows import LostRow
    >>> at = datetime.fromisoformat("1970-01-01T00:00:01Z")
    >>> stored(LostRow, "lost_places", {"epoch": 3, "kept": 9, "noted_at": at})
    LostRow(epoch=3, kept=9, noted_at=1000000, shard=None)
    """
    convert = _conversions(name)
    fields = ((each, row.get(each)) for each in kind.__struct_fields__)
    return kind(**{each: convert[each](value) for each, value in fields if value is not None})


@cache
def _conversions(name: str) -> dict[str, Callable[[Any], Any]]:
    return {
        column.name: tuple if column.mode == "REPEATED" else _CONVERSIONS.get(column.type, _same)
        for column in table(name).schema
    }


def _same(value: Any) -> Any:
    return value


def _centavos(amount: Decimal) -> int:
    return round(amount * 100)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"TIMESTAMP": micros, "DATE": days, "NUMERIC": _centavos}
