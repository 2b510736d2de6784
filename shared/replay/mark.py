"""The places of a shard's changes in the tables, and the one up to which none is missing: there, a replay may stop.

The rows of some changes come late: a message is delivered again until its row is stored. A snapshot that counted them
after later changes would round otherwise, so it stops before the first place that has no row yet. A place that has
been missing for long is passed over. If its row comes after all, `Tally` differs, and the snapshot is not used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.event import micros
from shared.features.places import Place
from shared.features.shards import Shard
from shared.replay.arrow_columns import whole
from shared.replay.reported import Reported
from shared.replay.tables import StoredTables

_MODULUS = 1_000_003
"""A prime, by which sums of places stay within INT64."""


class PlacedChanges(NamedTuple):
    """Places [n] of changes, ascending, when their rows say that they were counted, and which of them are asks."""

    places: NDArray[np.int64]
    at: NDArray[np.int64]
    """[n], in microseconds since the epoch."""
    asks: NDArray[np.bool_]
    """[n]."""

    def part(self, start: int, stop: int | None = None) -> PlacedChanges:
        """Return the changes from one index to another."""
        return PlacedChanges(self.places[start:stop], self.at[start:stop], self.asks[start:stop])


class Tally(Struct, frozen=True):
    """The number of changes up to a place, and a sum over their places: it changes with any row that comes later."""

    changes: int
    digest: int


class Patience(NamedTuple):
    """The age of the rows at which history may be cut: of any row, and of one that follows a missing place."""

    any: dt.timedelta
    after_missing: dt.timedelta


class Cut(NamedTuple):
    """A place, and the number of stretches of missing places that were passed over since the start."""

    place: int
    missing: int


class CountedPlaces:
    """The places of the changes that a shard of history counted, in the tables of a dataset."""

    def __init__(self, tables: StoredTables) -> None:
        self.tables = tables

    def after(self, place: int) -> Iterator[PlacedChanges]:
        """Yield the changes after a place, in order; reports have all places of theirs. Raises PixError."""
        found = map(_counted, self.tables.batches(self.query(place)))
        yield from _with_reports(found, _of_reports(self.tables.reports(), place, self.tables.shard))

    def query(self, place: int) -> str:
        """Return the query of the changes after a place, except those of reports at several places."""
        return (
            f"SELECT place, MIN(counted_at) AS counted_at, MAX(ask) AS ask FROM ({self._sql()}) AS changes "  # noqa: S608 (names of our own)
            f"WHERE place > {place} GROUP BY place ORDER BY place"
        )

    def tally(self, until: int) -> Tally:
        """Return the tally of the changes up to a place. Raises Unavailable, Misconfigured."""
        (found,) = self.tables.rows(
            f"SELECT COUNT(*) AS changes, SUM(MOD(place, {_MODULUS})) AS digest "  # noqa: S608 (names of our own)
            f"FROM (SELECT DISTINCT place FROM ({self._sql()}) AS changes WHERE place <= {until}) AS places"
        ).to_pylist()
        return Tally(int(found["changes"]), int(found["digest"] or 0))

    def _sql(self) -> str:
        data = self.tables
        return (
            "WITH scored AS (SELECT place, decided_place, "  # noqa: S608 (names of our own)
            f"COALESCE(filled_at, scored_at) AS counted_at FROM {data.places} AS counted) "
            "SELECT place, counted_at, 1 AS ask FROM scored "
            "UNION ALL SELECT decided_place, counted_at, 0 FROM scored "
            f"UNION ALL SELECT place, received_at, 0 FROM {data.outcomes} AS outcomes "
            f"UNION ALL SELECT place, received_at, 0 FROM {data.feedback} AS reports"
        )


def mark_of(counted: Iterable[PlacedChanges], start: int, patience: Patience, now: dt.datetime) -> Cut:
    """Return the last place after `start` at which history may be cut at `now`; `start` if there is none.

    It is cut just before an ask: a replay counts all other changes between two asks together. The end of an epoch
    counts as a missing place: only the next epoch says that nothing more comes.
    """
    young, settled = micros(now - patience.any), micros(now - patience.after_missing)
    mark, last, missing = Cut(start, 0), start, 0
    for part in counted:
        before = np.concatenate(([last], part.places[:-1]))
        gaps = _gaps(before, part.places)
        stops = np.flatnonzero((part.at > young) | (gaps & (part.at > settled)))
        taken = int(stops[0]) if len(stops) else len(before)
        asks = np.flatnonzero(part.asks[:taken])
        if len(asks):
            mark = Cut(int(before[asks[-1]]), missing + int(gaps[: asks[-1] + 1].sum()))
        if len(stops):
            break
        last, missing = int(part.places[-1]), missing + int(gaps.sum())
    return mark


def _gaps(before: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether places [n] are missing before each one; nothing precedes the first place of all."""
    first = np.array([Place.of(int(each)).number == 1 for each in places[before == 0]], dtype=bool)
    gaps: NDArray[np.bool_] = places != before + 1
    gaps[before == 0] = ~first
    return gaps


def _counted(rows: pa.Table) -> PlacedChanges:
    return PlacedChanges(whole(rows["place"], 0), whole(rows["counted_at"], 0), whole(rows["ask"], 0) > 0)


def _of_reports(reports: Iterable[Reported], after: int, shard: Shard) -> PlacedChanges:
    found = [
        (place, each.row.received_at) for each in reports for place in shard.places(each.places) if place > after
    ]
    pairs = np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
    return PlacedChanges(pairs[:, 0], pairs[:, 1], np.zeros(len(pairs), dtype=bool))


def _with_reports(parts: Iterable[PlacedChanges], reports: PlacedChanges) -> Iterator[PlacedChanges]:
    """Yield ascending parts merged with reports."""
    given = 0
    for part in parts:
        until = int(np.searchsorted(reports.places, part.places[-1], side="right"))
        yield _merged(part, reports.part(given, until))
        given = until
    if given < len(reports.places):
        yield reports.part(given)


def _merged(one: PlacedChanges, other: PlacedChanges) -> PlacedChanges:
    places, at, asks = (np.concatenate(each) for each in zip(one, other, strict=True))
    _, first = np.unique(places, return_index=True)
    return PlacedChanges(places[first], at[first], asks[first])
