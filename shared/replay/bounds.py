"""The period of an audit: its places on each shard of history, and the snapshots that precede them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import micros
from shared.contract.tables import timestamp
from shared.features.state import State
from shared.replay.continuation import start_of
from shared.replay.mark import CountedPlaces
from shared.replay.snapshots import Snapshots
from shared.replay.tables import StoredTables, Stretch

_TO_SECONDS = 1e-6


class ReplayPeriod(NamedTuple):
    """The times at which the compared Pix were initiated: from `since`, before `until`."""

    since: dt.datetime
    until: dt.datetime

    def where(self) -> str:
        """Return the condition of its rows, in GoogleSQL."""
        return f"initiated_at >= {timestamp(self.since)} AND initiated_at < {timestamp(self.until)}"

    def holds(self, initiated_at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether times [n] in microseconds lie within it."""
        return (micros(self.since) <= initiated_at) & (initiated_at < micros(self.until))


class Bounds(NamedTuple):
    """The places of a period on a shard, `first` to `last`, None if there are none.

    `rows` is the number of the period's rows, `unseen` that of those without any place, and `part_lost` that of those
    of which a shard has lost its part. `compared` are the first and the last time of its rows, None without any.
    `earliest` is the earliest time of the rows to replay: the tables are read from its day on.
    """

    first: int | None
    last: int
    rows: int
    unseen: int
    part_lost: int
    compared: tuple[dt.datetime, dt.datetime] | None
    earliest: dt.datetime | None


def condition(period: ReplayPeriod | None) -> str:
    """Return the condition of the rows of a period in GoogleSQL, None: all."""
    return "TRUE" if period is None else period.where()


def chosen(period: ReplayPeriod | None) -> Callable[[NDArray[np.int64]], NDArray[np.bool_]]:
    """Return the function that tells the times of a period, None: all."""
    return (lambda initiated_at: np.ones(len(initiated_at), dtype=bool)) if period is None else period.holds


def bounds_of(data: StoredTables, period: ReplayPeriod | None, start: int) -> Bounds:
    """Return the bounds of a period on a shard after a place. Raises Unavailable, Misconfigured."""
    (found,) = data.rows(
        f"SELECT MIN(IF(place > {start}, place, NULL)) AS first_place, "  # noqa: S608 (names of our own)
        "MAX(place) AS last_place, COUNT(*) AS row_count, COUNTIF(history_sequence IS NULL) AS unseen, "
        "COUNTIF(history_sequence IS NOT NULL AND part_lost) AS part_lost, "
        "MIN(initiated_at) AS since, MAX(initiated_at) AS until "
        f"FROM {data.places} AS counted WHERE {condition(period)}"
    ).to_pylist()
    first, since = found["first_place"], found["since"]
    last = start if first is None else int(found["last_place"])
    compared = None if since is None else (since, found["until"])
    earliest = None
    if first is not None:
        (of_replayed,) = data.rows(earliest_sql(data, Stretch(start, last))).to_pylist()
        earliest = of_replayed["earliest"]
    return Bounds(
        None if first is None else int(first),
        last,
        int(found["row_count"]),
        int(found["unseen"]),
        int(found["part_lost"]),
        compared,
        earliest,
    )


def state_before(
    snapshots: Snapshots, data: Sequence[StoredTables], period: ReplayPeriod, record_days: int
) -> tuple[State, list[str]]:
    """Return the records before the first row of a period by the newest snapshots, and the names of these.

    A shard without a snapshot begins before its first change. Records that nothing had touched for `record_days` by
    the start of the period are left out, as the store had dropped them. Raises Unavailable, Misconfigured.
    """
    listed = snapshots.listing().snapshots
    starts = []
    for each in data:
        (found,) = each.rows(first_sql(each, period)).to_pylist()
        first = found["first_place"]
        older = [one for one in listed if first is not None and one.place < first]
        starts.append(start_of(snapshots, older, CountedPlaces(each)))
    oldest = (micros(period.since - dt.timedelta(days=record_days))) * _TO_SECONDS
    state = State.joined([each.state for each in starts]).used_since(oldest)
    return state, [each.name for each in starts if each.name]


def first_sql(data: StoredTables, period: ReplayPeriod) -> str:
    """Return the query of the first place of a period."""
    return (
        f"SELECT MIN(place) AS first_place FROM {data.places} AS counted "  # noqa: S608 (names of our own)
        f"WHERE place > 0 AND {condition(period)}"
    )


def earliest_sql(data: StoredTables, stretch: Stretch) -> str:
    """Return the query of the earliest time of the rows of a stretch."""
    return (
        f"SELECT MIN(initiated_at) AS earliest FROM {data.places} AS counted "  # noqa: S608 (names of our own)
        f"WHERE place > {stretch.after} AND place <= {stretch.until}"
    )
