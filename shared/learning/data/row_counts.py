"""Counts of the rows of a training set, by which its quality is checked. Those of its parts add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.learning.data import defects
from shared.learning.data.defects import DefectCount
from shared.learning.data.key_columns import KeyColumns


class RowCounts(Struct, frozen=True):
    """Counts of the rows that can be used, and of those that cannot.

    `legitimate` is the number of legitimate examples that the rows stand for, `missing` the number of rows without a
    value, by feature. `first_at` and `last_at` are the times of the first and last Pix in microseconds, None without
    rows. `read` is the number of all rows, `frauds_read` of frauds among them, `defects` say which cannot be used.
    """

    rows: int
    payees: int
    frauds: int
    legitimate: float
    first_at: int | None
    last_at: int | None
    missing: dict[str, int]
    read: int
    frauds_read: int
    defects: list[DefectCount]


def counts_of(keys: KeyColumns, missing: Mapping[str, int]) -> RowCounts:
    """Return the counts of rows in order of time, given the number of those without a value, by feature."""
    n = len(keys.fraud)
    return RowCounts(
        rows=n,
        payees=keys.payees,
        frauds=int(keys.fraud.sum()),
        legitimate=float(keys.weight[~keys.fraud].sum()),
        first_at=int(keys.initiated_at[0]) if n else None,
        last_at=int(keys.initiated_at[-1]) if n else None,
        missing=dict(missing),
        read=keys.read,
        frauds_read=keys.frauds_read,
        defects=keys.defects,
    )


def added(parts: Sequence[RowCounts]) -> RowCounts:
    """Return the counts of at least one part, each of which has all rows of its Pix."""
    return RowCounts(
        rows=sum(each.rows for each in parts),
        payees=sum(each.payees for each in parts),
        frauds=sum(each.frauds for each in parts),
        legitimate=sum(each.legitimate for each in parts),
        first_at=min((each.first_at for each in parts if each.first_at is not None), default=None),
        last_at=max((each.last_at for each in parts if each.last_at is not None), default=None),
        missing={name: sum(each.missing[name] for each in parts) for name in parts[0].missing},
        read=sum(each.read for each in parts),
        frauds_read=sum(each.frauds_read for each in parts),
        defects=[defects.added(every) for every in zip(*(each.defects for each in parts), strict=True)],
    )
