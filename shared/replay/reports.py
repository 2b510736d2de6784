"""Reports in the order in which history counted them, placed between the transactions of a replay."""

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
"""The sequence of a row or report that history did not count."""


class Reported(NamedTuple):
    """A verdict on a Pix, received at `received_at` (microseconds), counted after `sequence` transactions.

    Where `sequence` is UNPLACED, `received_at` decides the order.
    """

    end_to_end_id: str
    parties: Parties
    verdict: ReportedVerdict
    received_at: int
    sequence: int = UNPLACED


class ReportQueue:
    """Give out reports as a replay reaches their place. Memory is bounded by the number of reports.

    If some reports have a place, history counted exactly these; the others only repeated a verdict or dated it
    otherwise. `counted_only` assumes so even if none has a place.
    """

    def __init__(self, reports: Iterable[Reported], counted_only: bool = False) -> None:
        every = list(reports)
        self._placed = sorted(
            (each for each in every if each.sequence != UNPLACED),
            key=lambda each: (each.sequence, each.verdict.reported_at, each.received_at),
        )
        unplaced = sorted(
            (each for each in every if each.sequence == UNPLACED),
            key=lambda each: (each.received_at, each.verdict.reported_at),
        )
        self._timed, self._repeated = ([], unplaced) if self._placed or counted_only else (unplaced, [])
        self._sequences = np.array([each.sequence for each in self._placed], dtype=np.int64)
        self._times = np.array([each.received_at for each in self._timed], dtype=np.int64)
        self.verdicts = VerdictLog()
        self.given = [0, 0]
        """Reports given out: with a place, without a place."""
        self._reached = [0, np.iinfo(np.int64).min]

    def skip(self, sequence: int) -> None:
        """Treat the reports before transaction number `sequence` as counted."""
        self._apply([(0, each.sequence, each) for each in self._take(self._placed, 0, self._sequences, sequence)])

    def before(self, sequence: Sequences, seen_at: Sequences) -> tuple[list[VerdictCount], list[int]]:
        """Return the reports to count before the last of n transactions, and each one's index among these.

        `sequence` [n] are the transactions' places in history (or UNPLACED), `seen_at` [n] when they
        were counted (microseconds).
        """
        start = self._reached[0]
        reached = np.maximum.accumulate(np.maximum(sequence, start))
        seen = np.maximum.accumulate(np.maximum(seen_at, self._reached[1]))
        self._reached = [int(reached[-1]), int(seen[-1])]
        placed = self._take(self._placed, 0, self._sequences, int(reached[-1]))
        timed = self._take(self._timed, 1, self._times, int(seen[-1]))
        order = np.searchsorted(reached, [each.sequence for each in placed], side="right").tolist()
        order += np.searchsorted(seen, [each.received_at for each in timed], side="right").tolist()
        after = [start, *reached.tolist()]
        together = [(place, after[place], each) for place, each in zip(order, [*placed, *timed], strict=True)]
        return self._apply(sorted(together, key=lambda one: one[0]))

    def rest(self, place: int) -> tuple[list[VerdictCount], list[int]]:
        """Return the remaining reports, to count at `place`, after all transactions."""
        left = [*self._placed[self.given[0] :], *self._timed[self.given[1] :]]
        self.given = [len(self._placed), len(self._timed)]
        remaining = self._apply([(place, self._reached[0], each) for each in left])
        for each in sorted(self._repeated, key=lambda each: each.verdict.reported_at):
            self.verdicts.repeat(each.end_to_end_id, each.verdict)
        return remaining

    def note(self) -> dict[str, Any]:
        """Return the position and the verdict log, for JSON."""
        return {"given": self.given, "reached": self._reached, "applied": self.verdicts.applied}

    def resume(self, note: dict[str, Any]) -> None:
        """Resume from a note, given the same reports."""
        self.given, self._reached = note["given"], note["reached"]
        self.verdicts.applied = msgspec.convert(note["applied"], dict[str, list[AppliedVerdict]])

    def _take(self, reports: Sequence[Reported], kind: int, keys: Sequences, until: int) -> Sequence[Reported]:
        start, stop = self.given[kind], int(np.searchsorted(keys, until, side="left"))
        self.given[kind] = max(start, stop)
        return reports[start:stop]

    def _apply(self, placed: Sequence[tuple[int, int, Reported]]) -> tuple[list[VerdictCount], list[int]]:
        """Apply verdicts, given the index and sequence of each; return the corrections and their indexes."""
        counts, places = [], []
        for place, sequence, (id_, parties, verdict, _, _) in placed:
            found = self.verdicts.apply(id_, verdict, sequence)
            counts += [VerdictCount(*parties, each.reported_at, each.fraud, each.sign) for each in found]
            places += [place] * len(found)
        return counts, places
