"""The claims of messages in a file of events, so that each counts once however often the file has it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.features.index import Index
from shared.features.keys import Keys

FIRST, OTHER_SIDE, AGAIN, TAKEN = range(4)
"""The first message under a key; one whose other side came first; a repeated one; a different one."""
Fates = NDArray[np.int8]
Days = NDArray[np.int64]
"""Days since the epoch [n]."""


class DayNote(msgspec.Struct):
    """The keys of one day in their order, and the fingerprints of their messages, as bytes, for JSON."""

    keys: bytes
    fingerprints: bytes


ClaimsNote = dict[int, DayNote]
"""Claims by day."""


class Claimed(NamedTuple):
    """Messages to claim: the key [n] and fingerprint [n] of each, and the key [n] of its other side (0: none)."""

    keys: Keys
    fingerprints: Keys
    others: Keys

    @classmethod
    def nothing(cls, count: int) -> Claimed:
        """Return zeros to fill in."""
        return cls(*np.zeros((3, count), dtype=np.uint64))

    def at(self, rows: NDArray[np.intp]) -> Claimed:
        """Return some of the messages."""
        return Claimed(self.keys[rows], self.fingerprints[rows], self.others[rows])


class LineClaims:
    """Claims of messages by day, each day in an index of some 30 bytes a message.

    The file is in time order, and a repeated message has the time of the first one, so they are neighbours. An
    EndToEndId names its minute, from which no Pix is twelve hours away. So the claims of a few days suffice.
    """

    def __init__(self) -> None:
        self._days: dict[int, _Day] = {}

    def claim(self, messages: Claimed, days: Days) -> Fates:
        """Claim messages, each on its day, and return the fate of each [n]."""
        fates = np.empty(len(days), dtype=np.int8)
        for day in np.unique(days).tolist():
            rows = np.flatnonzero(days == day)
            fates[rows] = self._days.setdefault(day, _Day()).claim(messages.at(rows))
        return fates

    def forget(self, before: int) -> None:
        """Forget the claims of the days before a day."""
        self._days = {day: claims for day, claims in self._days.items() if day >= before}

    def note(self) -> ClaimsNote:
        """Return the claims by day, for JSON."""
        return {day: claims.note() for day, claims in self._days.items()}

    def resume(self, note: ClaimsNote) -> None:
        """Continue from a note."""
        self._days = {day: _Day.of(each) for day, each in note.items()}


class _Day:
    """Claims of one day: an index of keys, and a fingerprint for each of its rows."""

    def __init__(self, keys: Keys | None = None, fingerprints: Keys | None = None) -> None:
        self._index = Index(keys)
        self._fingerprints = np.empty(0, dtype=np.uint64) if fingerprints is None else fingerprints

    @classmethod
    def of(cls, note: DayNote) -> _Day:
        return cls(
            np.frombuffer(note.keys, dtype=np.uint64), np.frombuffer(note.fingerprints, dtype=np.uint64).copy()
        )

    def note(self) -> DayNote:
        known = self._fingerprints[: len(self._index)]
        return DayNote(self._index.keys().tobytes(), known.tobytes())

    def claim(self, messages: Claimed) -> Fates:
        """Claim messages in their order and return the fate of each [n]."""
        rows, new = self._index.rows(messages.keys)
        self._reserve(len(self._index))
        self._fingerprints[rows[new]] = messages.fingerprints[new]
        fates = np.where(self._fingerprints[rows] == messages.fingerprints, AGAIN, TAKEN).astype(np.int8)
        others = self._index.find(messages.others)
        fates[new] = np.where((others >= 0) & (others < rows), OTHER_SIDE, FIRST)[new]
        return fates

    def _reserve(self, count: int) -> None:
        if count > len(self._fingerprints):
            known, self._fingerprints = (
                self._fingerprints,
                np.empty(max(count, 2 * len(self._fingerprints)), np.uint64),
            )
            self._fingerprints[: len(known)] = known
