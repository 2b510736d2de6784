"""Reports in the order in which history counted them, placed between the transactions of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import FeedbackRow
from shared.features.columns import Columns
from shared.features.facts import Facts, asks
from shared.features.reports import UNPLACED
from shared.features.shards import ONLY, Shard
from shared.features.verdicts import Correction, VerdictLog, facts_of
from shared.replay.recurrence import NO_SLOT, Chunk, Due, immediate
from shared.replay.reported import CountedReport, Reported, counted

Sequences = NDArray[np.int64]
_LAST = np.iinfo(np.int64).max


class DueReports(NamedTuple):
    """Corrections to count before the transactions at the indexes `before`, and the places `at` of their reports."""

    corrections: list[Correction]
    before: list[int]
    at: list[int]


class ReportQueue:
    """Give out reports as a replay reaches their place. Memory is bounded by the number of reports.

    If some reports have a place, history counted exactly these. Each of the others changed nothing when it came, but
    it may weigh on a later verdict. `counted_only` assumes so even if none has a place. Reports whose turn is after
    place `until` are left out.
    """

    def __init__(
        self, reports: Iterable[Reported], counted_only: bool = False, until: int = _LAST, shard: Shard = ONLY
    ) -> None:
        """Places are those on a shard."""
        every = _first_received(reports)
        self.known = len(every)
        """The number of reports."""
        placed = counted_only or any(each.place != UNPLACED for each in every)
        self.verdicts = VerdictLog()
        self._timed = [] if placed else every
        told = counted(every, self.verdicts, shard) if placed else []
        self._placed = [each for each in told if each.place <= until]
        self._places = np.array([each.place for each in self._placed], dtype=np.int64)
        own = shard.places([place for each in every for place in each.places]) if placed else []
        self._every_place = np.unique(np.array(own, dtype=np.int64))
        self._times = np.array([each.row.received_at for each in self._timed], dtype=np.int64)
        self.given = [0, 0]
        """Corrections given out by place, and reports by time."""
        self._reached = [0, np.iinfo(np.int64).min]

    def skip(self, sequence: int) -> None:
        """Treat the reports up to place `sequence` as counted."""
        self._due_by_place(sequence, "right")

    def before(self, sequence: Sequences, seen_at: Sequences) -> DueReports:
        """Return the corrections to count before the last of n transactions.

        `sequence` [n] are the transactions' places in history (or UNPLACED), `seen_at` [n] when they
        were counted (microseconds).
        """
        start = self._reached[0]
        reached = np.maximum.accumulate(np.maximum(sequence, start))
        seen = np.maximum.accumulate(np.maximum(seen_at, self._reached[1]))
        self._reached = [int(reached[-1]), int(seen[-1])]
        placed, timed = self._due_by_place(int(reached[-1])), self._due_by_time(int(seen[-1]))
        order = np.searchsorted(reached, [each.place for each in placed], side="right").tolist()
        together = list(zip(order, placed, strict=True))
        order = np.searchsorted(seen, [each.row.received_at for each in timed], side="right").tolist()
        after = [start, *reached.tolist()]
        together += [(index, self._told(each, after[index])) for index, each in zip(order, timed, strict=True)]
        return _due(sorted(together, key=lambda one: one[0]))

    def places(self, after: int, before: int) -> Sequences:
        """Return the places of reports between two places, ascending."""
        low, high = np.searchsorted(self._every_place, [after + 1, before])
        return self._every_place[low:high]

    def rest(self, place: int) -> DueReports:
        """Return the remaining corrections, to count at index `place`, after all transactions."""
        placed, timed = self._due_by_place(_LAST, "right"), self._due_by_time(_LAST)
        return _due([(place, each) for each in (*placed, *(self._told(each, self._reached[0]) for each in timed))])

    def note(self) -> dict[str, Any]:
        """Return the position, and the verdicts by reports without places, for JSON."""
        verdicts = self.verdicts.encoded() if self._timed else {}
        return {"given": self.given, "reached": self._reached, "verdicts": verdicts}

    def resume(self, note: dict[str, Any]) -> None:
        """Resume from a note, given the same reports."""
        self.given, self._reached = note["given"], note["reached"]
        if self._timed:
            self.verdicts.restore(msgspec.convert(note["verdicts"], dict[str, bytes], builtin_types=()))

    def _due_by_place(self, until: int, side: Any = "left") -> Sequence[CountedReport]:
        start, stop = self.given[0], int(np.searchsorted(self._places, until, side=side))
        self.given[0] = max(start, stop)
        return self._placed[start:stop]

    def _due_by_time(self, until: int) -> Sequence[Reported]:
        start, stop = self.given[1], int(np.searchsorted(self._times, until, side="left"))
        self.given[1] = max(start, stop)
        return self._timed[start:stop]

    def _told(self, reported: Reported, place: int) -> CountedReport:
        return CountedReport(place, self.verdicts.tell(*reported, place))


def _due(found: Sequence[tuple[int, CountedReport]]) -> DueReports:
    """Return corrections, given the index of each."""
    due = DueReports([], [], [])
    for index, (place, corrections) in found:
        due.corrections.extend(corrections)
        due.before.extend([index] * len(corrections))
        due.at.extend([place] * len(corrections))
    return due


def chunk_of(
    events: Columns,
    corrections: Sequence[Correction],
    before: Sequence[int],
    changes: Due | None = None,
    settles: NDArray[np.bool_] | None = None,
    places: Sequence[int] = (),
    shard: Shard = ONLY,
    counted_there: NDArray[np.bool_] | None = None,
    first: int = 0,
) -> Chunk:
    """Return events that are asked for, with the corrections to count before those at the indexes `before`.

    `changes` count between them too; events that `settles` [n] names settle at once, before anything else. Between
    two events, corrections with `places` and changes count in the order of places: a record is rounded after each.
    Corrections, and the events that were `counted_there` [n], name only the records of a shard. `first` is the slot
    of the first event.
    """
    parts, at = [shard.masked(facts_of(corrections))], [np.array(before, dtype=np.int64)]
    order_of = [np.array(places or [0] * len(corrections), dtype=np.int64)]
    slots = [np.full(len(corrections), NO_SLOT)]
    if changes is not None:
        parts.append(changes.facts)
        at.append(changes.before)
        order_of.append(changes.at)
        slots.append(changes.slots)
    if settles is not None:
        sold = np.flatnonzero(settles & ~events.is_return)
        parts.append(immediate(events[sold]).counted())
        at.append(sold + 1)
        order_of.append(np.full_like(sold, -1))
        slots.append(first + sold)
    every = np.concatenate(at)
    order = np.lexsort((np.concatenate(order_of), every))
    facts, slot_of = Facts.joined(parts, order), np.concatenate(slots)[order]
    own = _asked(events, shard, counted_there)
    return Chunk(events, first + np.arange(len(events)), facts, every[order], slot_of, own, first)


def _asked(events: Columns, shard: Shard, counted_there: NDArray[np.bool_] | None) -> Facts | None:
    """Return asks that name only the records of a shard where they were counted there; None for all records."""
    if shard.is_only:
        return None
    every = asks(events)
    own = shard.masked(every)
    if counted_there is None:
        return own
    return Facts(np.where(counted_there[:, None], own.keys, every.keys), every.at, every.weights, every.marks)


def _received(reported: Reported) -> tuple[int, int]:
    return reported.row.received_at, reported.row.reported_at


def _first_received(reports: Iterable[Reported]) -> list[Reported]:
    """Return each report as it was first received, in that order."""
    found: dict[FeedbackRow, Reported] = {}
    for each in sorted(reports, key=_received):
        found.setdefault(msgspec.structs.replace(each.row, received_at=0), each)
    return list(found.values())
