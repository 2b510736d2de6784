"""Reports in the order in which history counted them, placed between the transactions of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import FeedbackRow
from shared.features.columns import Columns
from shared.features.facts import Facts
from shared.features.reports import UNPLACED
from shared.features.verdicts import Correction, VerdictLog, facts_of, subjects
from shared.ports import Parties
from shared.replay.recurrence import NO_SLOT, Chunk, Due, immediate

Sequences = NDArray[np.int64]
_LAST = np.iinfo(np.int64).max


class Reported(NamedTuple):
    """A row of `pix.feedback`, with the parties of each known Pix that it is about, by EndToEndId.

    The row's `history_sequence` is its place; without one, `received_at` decides the order.
    """

    row: FeedbackRow
    parties: Mapping[str, Parties]

    @property
    def place(self) -> int:
        """Return the place at which history counted the report, or UNPLACED."""
        return UNPLACED if self.row.history_sequence is None else self.row.history_sequence

    @property
    def places(self) -> list[int]:
        """Return the places of all values that it changed, of which its own is the last; none if it has none."""
        if self.place == UNPLACED:
            return []
        return [self.place - step for step in range(max(1, len(subjects(self.row, self.parties))))]


class DueReports(NamedTuple):
    """Corrections to count before the transactions at the indexes `before`, and the places `at` of their reports."""

    corrections: list[Correction]
    before: list[int]
    at: list[int]


class _Queued(NamedTuple):
    reported: Reported
    place: int
    """Where it is given out: its own place, or that of the placed report before which it was received."""


class ReportQueue:
    """Give out reports as a replay reaches their place. Memory is bounded by the number of reports.

    If some reports have a place, history counted exactly these. Each of the others changed nothing when it came, but
    it may weigh on a later verdict, so it is given out before the next placed report that was received after it.
    `counted_only` assumes so even if none has a place. Reports whose turn is after place `until` are left out.
    """

    def __init__(self, reports: Iterable[Reported], counted_only: bool = False, until: int = _LAST) -> None:
        every = _first_received(reports)
        placed = sorted((each for each in every if each.place != UNPLACED), key=lambda each: each.place)
        unplaced = [each for each in every if each.place == UNPLACED]
        self._timed = unplaced if not placed and not counted_only else []
        queued = [] if self._timed else _merged(placed, unplaced)
        self._placed = [each for each in queued if each.place <= until]
        self._places = np.array([each.place for each in self._placed], dtype=np.int64)
        self._times = np.array([each.row.received_at for each in self._timed], dtype=np.int64)
        self.verdicts = VerdictLog()
        self.given = [0, 0]
        """Reports given out: by place, by time."""
        self._reached = [0, np.iinfo(np.int64).min]

    def skip(self, sequence: int) -> None:
        """Treat the reports up to place `sequence` as counted."""
        self._apply([(0, each.place, each.reported) for each in self._due_by_place(sequence, "right")])

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
        together = [(index, each.place, each.reported) for index, each in zip(order, placed, strict=True)]
        order = np.searchsorted(seen, [each.row.received_at for each in timed], side="right").tolist()
        after = [start, *reached.tolist()]
        together += [(index, after[index], each) for index, each in zip(order, timed, strict=True)]
        return self._apply(sorted(together, key=lambda one: one[0]))

    def places(self, after: int, before: int) -> Sequences:
        """Return the places of reports between two places, ascending."""
        low, high = np.searchsorted(self._places, after, side="right"), np.searchsorted(self._places, before)
        places = [place for each in self._placed[low:high] for place in each.reported.places]
        return np.unique(np.array(places, dtype=np.int64))

    def rest(self, place: int) -> DueReports:
        """Return the remaining corrections, to count at index `place`, after all transactions."""
        placed, timed = self._due_by_place(_LAST, "right"), self._due_by_time(_LAST)
        left = [(place, each.place, each.reported) for each in placed]
        return self._apply(left + [(place, self._reached[0], each) for each in timed])

    def note(self) -> dict[str, Any]:
        """Return the position and the verdict log, for JSON."""
        return {"given": self.given, "reached": self._reached, "verdicts": self.verdicts.encoded()}

    def resume(self, note: dict[str, Any]) -> None:
        """Resume from a note, given the same reports."""
        self.given, self._reached = note["given"], note["reached"]
        self.verdicts.restore(msgspec.convert(note["verdicts"], dict[str, bytes], builtin_types=()))

    def _due_by_place(self, until: int, side: Any = "left") -> Sequence[_Queued]:
        start, stop = self.given[0], int(np.searchsorted(self._places, until, side=side))
        self.given[0] = max(start, stop)
        return self._placed[start:stop]

    def _due_by_time(self, until: int) -> Sequence[Reported]:
        start, stop = self.given[1], int(np.searchsorted(self._times, until, side="left"))
        self.given[1] = max(start, stop)
        return self._timed[start:stop]

    def _apply(self, due: Sequence[tuple[int, int, Reported]]) -> DueReports:
        """Tell the verdict log, given the index and place of each; return the corrections."""
        counts = DueReports([], [], [])
        for index, place, (row, parties) in due:
            found = self.verdicts.tell(row, parties, place)
            counts.corrections.extend(found)
            counts.before.extend([index] * len(found))
            counts.at.extend([place] * len(found))
        return counts


def chunk_of(
    events: Columns,
    corrections: Sequence[Correction],
    before: Sequence[int],
    changes: Due | None = None,
    settles: NDArray[np.bool_] | None = None,
    places: Sequence[int] = (),
) -> Chunk:
    """Return events that are asked for, with the corrections to count before those at the indexes `before`.

    `changes` count between them too; events that `settles` [n] names settle at once, before anything else. Between
    two events, corrections with `places` and changes count in the order of places: a record is rounded after each.
    """
    parts, at = [facts_of(corrections)], [np.array(before, dtype=np.int64)]
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
        slots.append(sold)
    every = np.concatenate(at)
    order = np.lexsort((np.concatenate(order_of), every))
    return Chunk(
        events, np.arange(len(events)), Facts.joined(parts, order), every[order], np.concatenate(slots)[order]
    )


def _received(reported: Reported) -> tuple[int, int]:
    return reported.row.received_at, reported.row.reported_at


def _first_received(reports: Iterable[Reported]) -> list[Reported]:
    """Return each report as it was first received, in that order."""
    found: dict[FeedbackRow, Reported] = {}
    for each in sorted(reports, key=_received):
        found.setdefault(msgspec.structs.replace(each.row, received_at=0), each)
    return list(found.values())


def _merged(placed: list[Reported], unplaced: list[Reported]) -> list[_Queued]:
    """Return all reports by place; an unplaced one stands before the first placed one that was received later."""
    received = np.maximum.accumulate([each.row.received_at for each in placed]) if placed else np.empty(0)
    ranks = np.searchsorted(received, [each.row.received_at for each in unplaced], side="left").tolist()
    places = [*(each.place for each in placed), _LAST]
    queued = [(rank, 0, _Queued(each, places[rank])) for rank, each in zip(ranks, unplaced, strict=True)]
    queued += [(rank, 1, _Queued(each, each.place)) for rank, each in enumerate(placed)]
    return [each for _, _, each in sorted(queued, key=lambda one: one[:2])]
