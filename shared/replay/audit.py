"""Replay a period in the order of history, and compare the features with the logged ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.event import micros
from shared.contract.fields import Side
from shared.contract.tables import feature_columns, timestamp
from shared.errors import Misconfigured
from shared.features.history import READ_WIDTH
from shared.features.places import Place
from shared.features.reports import UNPLACED
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.replay.arrow_columns import columns_of, floats, whole
from shared.replay.changes import ChangeQueue
from shared.replay.comparison import TOLERANCE, TOLERANCE_ULP, Comparison
from shared.replay.recurrence import Due, Replay
from shared.replay.reports import ReportQueue, chunk_of
from shared.replay.tables import StoredTables, columns

LISTED = 10
"""The number of gaps and duplicates that the result lists."""


class Period(NamedTuple):
    """The time of scoring of the compared transactions: from `since`, before `until`."""

    since: dt.datetime
    until: dt.datetime


class Bounds(NamedTuple):
    """The places in history of a period, `first` to `last`; its rows, and how many have no place (`unseen`)."""

    first: int
    last: int
    rows: int
    unseen: int


class FirstRows(NamedTuple):
    """The first row of each new place, and the first row of each side of a Pix at a place.

    `turn` is the index in `places` of the place of each row of `sides`; -1 is the last place of the rows before.
    """

    places: pa.Table
    sides: pa.Table
    turn: NDArray[np.int64]


@dataclass(slots=True)
class Sequence:
    """The places of transactions in history: each should occur once, without gaps."""

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
        places = whole(rows["history_sequence"], UNPLACED)
        steps = np.diff(places, prepend=places[0] if carried else self.last)
        if np.any(steps < 0):
            raise Misconfigured("the rows are not in the order of history_sequence")
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

        A decision without history differs from a later one with it, and is not compared.
        """
        self.duplicates += len(again)
        if "filled" in rows.column_names:
            filled = rows["filled"].to_numpy()
            again = again[~filled[again] & ~filled[first[again]]]
        pairs = (rows.take(pa.array(indexes)).to_pylist() for indexes in (again, first[again]))
        self.unequal += [one["history_sequence"] for one, other in zip(*pairs, strict=True) if one != other]


class Audit:
    """A replay that compares as it goes."""

    def __init__(self, start: State, reports: ReportQueue, changes: ChangeQueue) -> None:
        self.comparison = Comparison()
        self.sequence = Sequence(start.sequence)
        self.replayed = 0
        self._replay = Replay(start)
        self._last_reads = np.full((1, READ_WIDTH), np.nan, dtype=np.float32)
        self._reports, self._changes = reports, changes
        reports.skip(start.sequence)
        changes.skip(start.sequence)

    def add(self, rows: pa.Table, compared: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None) -> None:
        """Replay rows; compare those selected by `compared`, given their times of scoring."""
        places, before = whole(rows["history_sequence"], UNPLACED), self.sequence.last
        due = self._changes.before(places)
        others = np.union1d(due.places, self._reports.places(before, int(places[-1])))
        first = self.sequence.first_rows(rows, others)
        reads = np.concatenate([self._last_reads, self._counted(first.places, due)])
        self._last_reads = reads[-1:]
        if compared is None:
            return
        chosen = np.flatnonzero(compared(whole(first.sides["scored_at"], 0)))
        sides, own = first.sides.take(pa.array(chosen)), reads[first.turn[chosen] + 1]
        known, ids = columns_of(sides), sides["end_to_end_id"].to_numpy()
        self.comparison.add(ids, logged(sides), feature_matrix(known, own), known, own)

    def _counted(self, rows: pa.Table, due: Due) -> NDArray[np.float32]:
        """Count the first row of each place, and return the reads before each [n, READ_WIDTH]."""
        if not rows.num_rows:
            return np.empty((0, READ_WIDTH), dtype=np.float32)
        self.replayed += rows.num_rows
        known, scored_at = columns_of(rows), whole(rows["scored_at"], 0)
        places = whole(rows["history_sequence"], UNPLACED)
        due = due._replace(before=np.searchsorted(places, due.at, side="right"))
        reports = self._reports.before(places, scored_at)
        return self._replay.run(chunk_of(known, *reports[:2], due, places=reports.at))

    def state(self) -> State:
        """Return history after the last row."""
        return self._replay.state()


def audit(
    data: StoredTables, period: Period | None, start: State, advance: Callable[[int, int], None]
) -> dict[str, Any]:
    """Return the audit report of a period (None: all). Raises Unavailable, Misconfigured.

    `advance` receives the places of history replayed, and those in total.
    """
    where = "TRUE" if period is None else _within(period)
    bounds = _bounds(data, where, start.sequence)
    changes = ChangeQueue(data.changes(bounds.last + 1))
    work = Audit(start, ReportQueue(data.reports()), changes)
    for batch in _batches(data, start.sequence, bounds.first, features=False):
        work.add(batch, None)
        advance(work.sequence.last - start.sequence, bounds.last - start.sequence)
    compared = _chosen(period)
    for batch in _batches(data, max(start.sequence, bounds.first - 1), bounds.last + 1, features=True):
        work.add(batch, compared)
        advance(work.sequence.last - start.sequence, bounds.last - start.sequence)
    return _result(work, bounds, _recounted(data, where))


def logged(rows: pa.Table) -> NDArray[np.float32]:
    """Return the served features [n, F] of rows, exactly: they were stored as float32."""
    return np.stack([floats(rows[name]).astype(np.float32) for name in feature_columns()], axis=1)


def _within(period: Period) -> str:
    return f"scored_at >= {timestamp(period.since)} AND scored_at < {timestamp(period.until)}"


def _chosen(period: Period | None) -> Callable[[NDArray[np.int64]], NDArray[np.bool_]]:
    if period is None:
        return lambda scored_at: np.ones(len(scored_at), dtype=bool)
    since, until = micros(period.since), micros(period.until)
    return lambda scored_at: (since <= scored_at) & (scored_at < until)


def _bounds(data: StoredTables, where: str, start: int) -> Bounds:
    (found,) = data.rows(
        f"SELECT MIN(IF(history_sequence > {start}, history_sequence, NULL)) AS first_place, "  # noqa: S608 (names of our own)
        "MAX(history_sequence) AS last_place, COUNT(*) AS row_count, COUNTIF(history_sequence IS NULL) AS unseen "
        f"FROM {data.places} AS counted WHERE {where}"
    ).to_pylist()
    if found["first_place"] is None:
        raise Misconfigured(
            "nothing to compare: no row of this period was scored with history"
            + (f" after place {start}, where the given state ends" if start else "")
        )
    return Bounds(*(int(found[name]) for name in ("first_place", "last_place", "row_count", "unseen")))


def _batches(data: StoredTables, after: int, before: int, features: bool) -> Iterable[pa.Table]:
    if before <= after + 1:
        return ()
    return data.batches(
        f"SELECT {columns(features)} FROM {data.score_events if features else data.asks} AS counted "  # noqa: S608 (names of our own)
        f"WHERE history_sequence > {after} AND history_sequence < {before} "
        "ORDER BY history_sequence, turn, scored_at, end_to_end_id, side DESC"
    )


def _recounted(data: StoredTables, where: str) -> int:
    """Return the number of transactions with two places in history."""
    (found,) = data.rows(
        "SELECT COUNT(*) AS ids FROM (SELECT end_to_end_id "  # noqa: S608 (names of our own)
        f"FROM {data.places} AS counted WHERE history_sequence IS NOT NULL AND {where} "
        "GROUP BY end_to_end_id HAVING COUNT(DISTINCT history_sequence) > 1) AS twice"
    ).to_pylist()
    return int(found["ids"])


def _result(work: Audit, bounds: Bounds, recounted: int) -> dict[str, Any]:
    sequence, comparison = work.sequence, work.comparison
    wrong = [*comparison.features, *sequence.unequal, *sequence.conflicts]
    return {
        "outcome": "SKEWED" if wrong or recounted else "EQUAL",
        "compared": comparison.rows,
        "replayed": work.replayed,
        "skipped": {"without_history": bounds.unseen},
        "features_per_row": len(feature_columns()),
        "rows_with_differences": comparison.differing_rows,
        "values_within_rounding": comparison.rounded,
        "tolerance": {"ulp": TOLERANCE_ULP, "absolute": TOLERANCE},
        "features": {name: found._asdict() for name, found in sorted(comparison.features.items())},
        "duplicates": sequence.duplicates,
        "unequal_duplicates": {"count": len(sequence.unequal), "at": sequence.unequal[:LISTED]},
        "places_taken_twice": {"count": len(sequence.conflicts), "at": sequence.conflicts[:LISTED]},
        "counted_twice": recounted,
        "gaps": {"transactions": sequence.missing, "ranges": sequence.gaps[:LISTED]},
    }
