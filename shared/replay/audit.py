"""Replay a period in the order of history, and compare the features with the logged ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.contract.tables import feature_columns, timestamp
from shared.errors import Misconfigured
from shared.features.places import Place
from shared.features.reports import UNPLACED
from shared.features.shards import ONLY, Shard
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.replay.arrow_columns import columns_of, floats, whole
from shared.replay.bounds import Bounds, ReplayPeriod, bounds_of, chosen, condition
from shared.replay.changes import ChangeQueue
from shared.replay.comparison import TOLERANCE, TOLERANCE_ULP, Comparison
from shared.replay.joining import Joined, in_step, no_reads, parts_of
from shared.replay.recurrence import Due, Replay
from shared.replay.reports import ReportQueue, chunk_of
from shared.replay.tables import StoredTables, Stretch, columns

LISTED = 10
"""The number of gaps and duplicates that the result lists."""
_FILLED = "filled"
"""A column of rows with features."""
_PART_LOST = "part_lost"


class FirstRows(NamedTuple):
    """The first row of each new place, and the first row of each side of a Pix at a place.

    `turn` is the index in `places` of the place of each row of `sides`; -1 is the last place of the rows before.
    """

    places: pa.Table
    sides: pa.Table
    turn: NDArray[np.int64]


@dataclass(slots=True)
class Places:
    """The places of transactions on a shard of history: each should occur once, without gaps."""

    last: int
    missing: int = 0
    gaps: list[list[int]] = field(default_factory=list)
    duplicates: int = 0
    unequal: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    _previous: pa.Table | None = None

    def first_rows(self, rows: pa.Table, others: NDArray[np.int64]) -> FirstRows:
        """Return the first rows; record gaps, and rows that repeat a side of a Pix.

        `others` are the places of other changes up to the last row, ascending; both sides of a Pix have one place.
        Raises Misconfigured if the rows are not in order.
        """
        carried = 0
        if self._previous is not None and self._previous.schema == rows.schema:
            carried = self._previous.num_rows
            rows = pa.concat_tables([self._previous, rows])
        places = whole(rows["place"], UNPLACED)
        steps = np.diff(places, prepend=places[0] if carried else self.last)
        if np.any(steps < 0):
            raise Misconfigured("the rows are not in the order of their places")
        new = steps > 0
        index = np.arange(len(places))
        at = np.maximum.accumulate(np.where(new, index, 0))
        ids = rows["end_to_end_id"].to_numpy()
        stranger = ids != ids[at]
        side = rows["side"].fill_null(Side.PAYER).to_numpy() == Side.PAYEE
        _, firsts, key = np.unique(4 * at + 2 * stranger + side, return_index=True, return_inverse=True)
        first = firsts[key]
        self.conflicts += places[stranger].tolist()
        self._compare(rows, np.flatnonzero((first < index) & ~stranger), first)
        for place, step in zip(places[steps > 1].tolist(), steps[steps > 1].tolist(), strict=True):
            before = max(place - step, place - Place.of(place).number)  # an epoch begins with number 1
            low, high = np.searchsorted(others, [before + 1, place])
            if missing := place - before - 1 - int(high - low):
                self.missing += missing
                self.gaps.append([before + 1, place - 1])
        opening = (first == index) & ~stranger
        self._previous, self.last = rows.filter(pa.array(opening & (at == at[-1]))), int(places[-1])
        sides = np.flatnonzero(opening & (index >= carried))
        return FirstRows(rows.filter(pa.array(new)), rows.take(pa.array(sides)), (np.cumsum(new) - 1)[at[sides]])

    def _compare(self, rows: pa.Table, again: NDArray[np.intp], first: NDArray[np.intp]) -> None:
        """Compare the rows `again` with the first ones of their sides, `first` [n].

        Those at home count, once. A decision without history differs from a later one with it, and is not compared.
        """
        again = again[whole(rows["place"], 0)[again] == whole(rows["history_sequence"], 0)[again]]
        self.duplicates += len(again)
        if _FILLED in rows.column_names:
            filled = rows[_FILLED].to_numpy()
            again = again[~filled[again] & ~filled[first[again]]]
        pairs = (rows.take(pa.array(indexes)).to_pylist() for indexes in (again, first[again]))
        self.unequal += [one["place"] for one, other in zip(*pairs, strict=True) if one != other]


class Together:
    """The replayed records of all shards, the reads that wait for those of other shards, and the comparison."""

    def __init__(self, start: State) -> None:
        self.replay = Replay(start)
        self.joined = Joined()
        self.comparison = Comparison()


class Audit:
    """A replay of a shard that compares as it goes; `comparison` is that of all shards."""

    def __init__(
        self,
        start: State,
        reports: ReportQueue,
        changes: ChangeQueue,
        shard: Shard = ONLY,
        together: Together | None = None,
    ) -> None:
        """`reports` and `changes` are those of the shard; audits of several shards work `together`."""
        self._together = together or Together(start)
        self._shard = shard
        after = _after(start, shard)
        self.comparison = self._together.comparison
        self.sequence = Places(after)
        self.replayed = 0
        self._last_reads = no_reads(1)
        self._reports, self._changes = reports, changes
        reports.skip(after)
        changes.skip(after)

    def add(self, rows: pa.Table, compared: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None) -> None:
        """Replay rows; compare those selected by `compared`, given the times of their Pix."""
        places, before = whole(rows["place"], UNPLACED), self.sequence.last
        due = self._changes.before(places)
        others = np.union1d(due.places, self._reports.places(before, int(places[-1])))
        first = self.sequence.first_rows(rows, others)
        reads = np.concatenate([self._last_reads, self._counted(first.places, due)])
        self._last_reads = reads[-1:]
        if compared is None:
            return
        chosen = np.flatnonzero(compared(whole(first.sides["initiated_at"], 0)) & self._is_whole(first.sides))
        sides, own = self._joined(first.sides.take(pa.array(chosen)), reads[first.turn[chosen] + 1])
        known, ids = columns_of(sides), sides["end_to_end_id"].to_numpy()
        self.comparison.add(ids, logged(sides), feature_matrix(known, own), known, own)

    def _is_whole(self, sides: pa.Table) -> NDArray[np.bool_]:
        """Return whether all shards have the parts of rows [n] that they counted first."""
        if self._shard.is_only or _PART_LOST not in sides.column_names:
            return np.ones(sides.num_rows, dtype=bool)
        found: NDArray[np.bool_] = ~sides[_PART_LOST].to_numpy() & (whole(sides["history_sequence"], 0) > 0)
        return found

    def _joined(self, sides: pa.Table, own: NDArray[np.float32]) -> tuple[pa.Table, NDArray[np.float32]]:
        """Return the rows of which all shards have given the reads, with these."""
        if self._shard.is_only:
            return sides, own
        names = zip(sides["end_to_end_id"].to_pylist(), sides["side"].to_pylist(), strict=True)
        done, found = self._together.joined.add(list(names), parts_of(sides), own)
        return sides.take(pa.array(done)), found

    def _counted(self, rows: pa.Table, due: Due) -> NDArray[np.float32]:
        """Count the first row of each place, and return the reads before each [n, READ_WIDTH]."""
        if not rows.num_rows:
            return no_reads(0)
        known, scored_at = columns_of(rows), whole(rows["scored_at"], 0)
        places = whole(rows["place"], UNPLACED)
        self.replayed += int((places == whole(rows["history_sequence"], 0)).sum())
        due = due._replace(before=np.searchsorted(places, due.at, side="right"))
        reports = self._reports.before(places, scored_at)
        chunk = chunk_of(known, *reports[:2], due, places=reports.at, shard=self._shard)
        return self._together.replay.run(chunk)

    def state(self) -> State:
        """Return the records after the last row."""
        return self._together.replay.state()


def audit(
    data: Sequence[StoredTables], period: ReplayPeriod | None, start: State, advance: Callable[[int, int], None]
) -> dict[str, Any]:
    """Return the audit report of a period (None: all), given the tables as each shard of history counted their rows.

    `advance` receives the places of history replayed, and those in total. Raises Unavailable, Misconfigured.
    """
    if start.others and len(start.places) != len(data):
        raise Misconfigured(f"the given state is of {len(start.places)} shards of history, not of {len(data)}")
    starts = [_after(start, each.shard) for each in data]
    bounds = [bounds_of(each, period, after) for each, after in zip(data, starts, strict=True)]
    if all(each.first is None for each in bounds):
        ends = ", ".join(map(str, start.places))
        raise Misconfigured(
            "nothing to compare: no Pix of this period was scored with history"
            + (f" after place {ends}, where the given state ends" if any(start.places) else "")
        )
    together, reports = Together(start), data[0].reports()
    shards = [
        Audit(start, ReportQueue(reports, shard=each.shard), _changes(each, after, of), each.shard, together)
        for each, after, of in zip(data, starts, bounds, strict=True)
    ]
    streams = [_rows(each, after, of) for each, after, of in zip(data, starts, bounds, strict=True)]
    compared, total = chosen(period), sum(each.last for each in bounds) - sum(starts)
    for number, rows in in_step(streams):
        shards[number].add(rows, compared if _FILLED in rows.column_names else None)
        advance(sum(each.sequence.last for each in shards) - sum(starts), total)
    return _result(shards, together, bounds, _recounted(data[0], condition(period)))


def logged(rows: pa.Table) -> NDArray[np.float32]:
    """Return the served features [n, F] of rows, exactly: they were stored as float32."""
    return np.stack([floats(rows[name]).astype(np.float32) for name in feature_columns()], axis=1)


def _after(start: State, shard: Shard) -> int:
    """Return the place on a shard at which a state ends."""
    return start.places[shard.number] if start.others else start.sequence


def _changes(data: StoredTables, start: int, bounds: Bounds) -> ChangeQueue:
    """Return the changes to replay; those up to the start come with them where they weigh on a later one."""
    stretch = Stretch(start, bounds.last)
    return ChangeQueue(data.changes(stretch) if bounds.first is not None else (), data.shard)


def _rows(data: StoredTables, start: int, bounds: Bounds) -> Iterator[pa.Table]:
    """Yield the rows of a shard after a place: those before the period without their features."""
    if bounds.first is None or bounds.earliest is None:
        return
    yield from _batches(data, Stretch(start, bounds.first - 1), bounds.earliest, features=False)
    yield from _batches(data, Stretch(max(start, bounds.first - 1), bounds.last), bounds.earliest, features=True)


def _batches(data: StoredTables, stretch: Stretch, earliest: dt.datetime, features: bool) -> Iterator[pa.Table]:
    if stretch.until > stretch.after:
        yield from data.batches(rows_sql(data, stretch, earliest, features))


def rows_sql(data: StoredTables, stretch: Stretch, earliest: dt.datetime, features: bool) -> str:
    """Return the query of the rows of a stretch; the condition on `earliest`, which all meet, spares partitions."""
    return (
        f"SELECT {columns(features)} FROM {data.score_events if features else data.asks} AS counted "  # noqa: S608 (names of our own)
        f"WHERE place > {stretch.after} AND place <= {stretch.until} AND initiated_at >= {timestamp(earliest)} "
        "ORDER BY place, turn, scored_at, end_to_end_id, side DESC"
    )


def _recounted(data: StoredTables, where: str) -> int:
    """Return the number of transactions with two places in history."""
    (found,) = data.rows(
        "SELECT COUNT(*) AS ids FROM (SELECT end_to_end_id "  # noqa: S608 (names of our own)
        f"FROM {data.places} AS counted WHERE history_sequence IS NOT NULL AND {where} "
        "GROUP BY end_to_end_id HAVING COUNT(DISTINCT history_sequence) > 1) AS twice"
    ).to_pylist()
    return int(found["ids"])


def _result(shards: Sequence[Audit], together: Together, bounds: Sequence[Bounds], recounted: int) -> dict[str, Any]:
    comparison, places = together.comparison, [each.sequence for each in shards]
    unequal, conflicts, gaps = (
        [one for each in places for one in getattr(each, name)] for name in ("unequal", "conflicts", "gaps")
    )
    incomplete = len(together.joined)
    wrong = [*comparison.features, *unequal, *conflicts]
    return {
        "outcome": "SKEWED" if wrong or recounted or incomplete else "EQUAL",
        "compared": comparison.rows,
        "period": _extent(bounds),
        "replayed": sum(each.replayed for each in shards),
        "skipped": {
            "without_history": bounds[0].unseen,
            "part_lost": bounds[0].part_lost,
            "without_a_part": incomplete,
        },
        "features_per_row": len(feature_columns()),
        "rows_with_differences": comparison.differing_rows,
        "values_within_rounding": comparison.rounded,
        "tolerance": {"ulp": TOLERANCE_ULP, "absolute": TOLERANCE},
        "features": {name: found._asdict() for name, found in sorted(comparison.features.items())},
        "duplicates": sum(each.duplicates for each in places),
        "unequal_duplicates": {"count": len(unequal), "at": unequal[:LISTED]},
        "places_taken_twice": {"count": len(conflicts), "at": conflicts[:LISTED]},
        "counted_twice": recounted,
        "gaps": {"transactions": sum(each.missing for each in places), "ranges": gaps[:LISTED]},
    }


def _extent(bounds: Sequence[Bounds]) -> dict[str, dt.datetime]:
    """Return the times of the first and the last Pix of the period."""
    every = [each.compared for each in bounds if each.compared is not None]
    return {"since": min(first for first, _ in every), "until": max(last for _, last in every)}
