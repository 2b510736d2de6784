"""Reports in the order in which history counted them, between the transactions of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.features.facts import VerdictCount
from shared.features.verdicts import AppliedVerdict, ReportedVerdict, VerdictLog
from shared.ports import Parties

Sequences = NDArray[np.int64]

UNPLACED = -1


class Reported(NamedTuple):
    """What was said about a Pix, when it was heard (microseconds), and after how many transactions it counted.

    `sequence` is UNPLACED where that is not known; then the time decides.
    """

    end_to_end_id: str
    parties: Parties
    said: ReportedVerdict
    heard_at: int
    sequence: int = UNPLACED


class ReportQueue:
    """Hand out reports as a replay reaches their place. Memory is bounded by the number of reports.

    Where some have a place, history counted these, and those without changed nothing but what is in force since when.
    With `counted_only` that holds even if none has.
    """

    def __init__(self, reports: Iterable[Reported], counted_only: bool = False) -> None:
        every = list(reports)
        self._placed = sorted(
            (each for each in every if each.sequence != UNPLACED),
            key=lambda each: (each.sequence, each.said.reported_at, each.heard_at),
        )
        unplaced = sorted(
            (each for each in every if each.sequence == UNPLACED),
            key=lambda each: (each.heard_at, each.said.reported_at),
        )
        self._timed, self._repeated = ([], unplaced) if self._placed or counted_only else (unplaced, [])
        self._sequences = np.array([each.sequence for each in self._placed], dtype=np.int64)
        self._times = np.array([each.heard_at for each in self._timed], dtype=np.int64)
        self.said = VerdictLog()
        self.given = [0, 0]
        """How many were handed out, of those with a place and of those without."""
        self._reached = [0, np.iinfo(np.int64).min]

    def skip(self, sequence: int) -> None:
        """Take as counted what was counted before transaction number `sequence`."""
        self._hear([(0, each.sequence, each) for each in self._take(self._placed, 0, self._sequences, sequence)])

    def before(self, sequence: Sequences, seen_at: Sequences) -> tuple[list[VerdictCount], list[int]]:
        """Return the reports to count before the last of n transactions, and each one's place among these.

        `sequence` [n] are the transactions' places in history, UNPLACED where they have none; `seen_at` [n] when they
        were seen (microseconds).
        """
        start = self._reached[0]
        reached = np.maximum.accumulate(np.maximum(sequence, start))
        seen = np.maximum.accumulate(np.maximum(seen_at, self._reached[1]))
        self._reached = [int(reached[-1]), int(seen[-1])]
        placed = self._take(self._placed, 0, self._sequences, int(reached[-1]))
        timed = self._take(self._timed, 1, self._times, int(seen[-1]))
        order = np.searchsorted(reached, [each.sequence for each in placed], side="right").tolist()
        order += np.searchsorted(seen, [each.heard_at for each in timed], side="right").tolist()
        after = [start, *reached.tolist()]
        together = [(place, after[place], each) for place, each in zip(order, [*placed, *timed], strict=True)]
        return self._hear(sorted(together, key=lambda one: one[0]))

    def rest(self, place: int) -> tuple[list[VerdictCount], list[int]]:
        """Return what is left, to count at `place`, after all transactions."""
        left = [*self._placed[self.given[0] :], *self._timed[self.given[1] :]]
        self.given = [len(self._placed), len(self._timed)]
        told = self._hear([(place, self._reached[0], each) for each in left])
        for each in sorted(self._repeated, key=lambda each: each.said.reported_at):
            self.said.repeat(each.end_to_end_id, each.said)
        return told

    def note(self) -> dict[str, Any]:
        """Return what was handed out, and what was said, for JSON."""
        return {"given": self.given, "reached": self._reached, "heard": self.said.applied}

    def resume(self, note: dict[str, Any]) -> None:
        """Go on from a note, given the same reports."""
        self.given, self._reached = note["given"], note["reached"]
        self.said.applied = msgspec.convert(note["heard"], dict[str, list[AppliedVerdict]])

    def _take(self, reports: Sequence[Reported], kind: int, keys: Sequences, until: int) -> Sequence[Reported]:
        start, stop = self.given[kind], int(np.searchsorted(keys, until, side="left"))
        self.given[kind] = max(start, stop)
        return reports[start:stop]

    def _hear(self, placed: Sequence[tuple[int, int, Reported]]) -> tuple[list[VerdictCount], list[int]]:
        """Return what history has to count of what was said, given place and count of transactions of each."""
        told, places = [], []
        for place, sequence, (id_, parties, said, _, _) in placed:
            found = self.said.apply(id_, said, sequence)
            told += [VerdictCount(*parties, each.reported_at, each.fraud, each.sign) for each in found]
            places += [place] * len(found)
        return told, places
