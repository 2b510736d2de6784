"""States of reports about one subject, a Pix or a holder of a fraud marker, as one value in a store of history.

The value is the set of all states that were seen, with the place at which each changed history, and the fact that is
counted because of them. Both depend on the set alone, so that reports may come in any order and any number of times.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple

from shared.contract.rows import FeedbackRow
from shared.errors import Malformed

UNPLACED = -1
"""The place of a state that changed nothing in history."""
STATES_MAX = 64
"""States in a value, at most; a report has three or four."""


class Standing(IntEnum):
    """State of a report, as far as a verdict depends on it; of two states of one time, the greater one stands.

    OPEN to CANCELLED are of an infraction report (MED), CLEARED and CONFIRMED of an analyst, CONTESTED and WITHDRAWN
    of the customer, REGISTERED and REVOKED of a fraud marker.
    """

    OPEN = 1
    ACKNOWLEDGED = 2
    DISAGREED = 3
    AGREED = 4
    CANCELLED = 5
    CLEARED = 6
    CONFIRMED = 7
    CONTESTED = 8
    WITHDRAWN = 9
    REGISTERED = 10
    REVOKED = 11


_STANDINGS = {
    ("MED", "OPEN"): Standing.OPEN,
    ("MED", "ACKNOWLEDGED"): Standing.ACKNOWLEDGED,
    ("MED", "DISAGREED"): Standing.DISAGREED,
    ("MED", "AGREED"): Standing.AGREED,
    ("MED", "CANCELLED"): Standing.CANCELLED,
    ("ANALYST", "LEGITIMATE"): Standing.CLEARED,
    ("ANALYST", "FRAUD"): Standing.CONFIRMED,
    ("CUSTOMER", "CONTESTED"): Standing.CONTESTED,
    ("CUSTOMER", "WITHDRAWN"): Standing.WITHDRAWN,
    ("FRAUD_MARKER", "REGISTERED"): Standing.REGISTERED,
    ("FRAUD_MARKER", "CANCELLED"): Standing.REVOKED,
}


class ReportState(NamedTuple):
    """A state of a report."""

    report: int
    """Hash of the report's source and id."""
    reported_at: int
    """Microseconds since the epoch, when this state came to be."""
    standing: Standing
    state_hash: int
    """Order among states of one time and standing."""
    hop: int = 0
    """Hop of the Pix in a tracking graph, 0: not given."""
    about: int = 0
    """Of a fraud marker, the infraction report from which it follows, as in `report`; else 0."""

    @property
    def order(self) -> tuple[int, int, int]:
        """Return the key by which the latest state of a report is found."""
        return self.reported_at, self.standing, self.state_hash


def state_of(row: FeedbackRow) -> ReportState | None:
    """Return the state that a row of `pix.feedback` holds; None for refunds and recoveries, which judge nothing."""
    said = row.verdict if row.source == "ANALYST" else row.status
    if row.source == "MED" and said == "CLOSED":
        said = row.analysis_result
    standing = _STANDINGS.get((row.source, said or ""))
    if standing is None:
        return None
    about = report_hash("MED", row.infraction_report_id) if row.infraction_report_id else 0
    return ReportState(
        report_hash(row.source, row.report_id), row.reported_at, standing, row.state_hash or 0, row.hop or 0, about
    )


def report_hash(source: str, report_id: str) -> int:
    """Return 64 bits that name a report among those about one subject.

    >>> report_hash("MED", "1") == report_hash("ANALYST", "1")
    False
    """
    return int.from_bytes(blake2b(f"{source}\0{report_id}".encode(), digest_size=8).digest())


def latest(states: Iterable[ReportState]) -> list[ReportState]:
    """Return the latest state of each report."""
    found: dict[tuple[int, int], ReportState] = {}
    for state in states:
        before = found.get((state.report, state.about))
        if before is None or state.order > before.order:
            found[state.report, state.about] = state
    return list(found.values())


class Counted(NamedTuple):
    """A fact that history counts for a subject: its kind, by number, and the pseudonyms whose records it changes."""

    kind: int
    hop: int
    at: int
    """Microseconds since the epoch."""
    ids: tuple[str, str, str]
    """An empty one changes no record."""


_HEAD = struct.Struct("<IBBq32s32s32sH")
_ENTRY = struct.Struct("<QqBQBQq")
_PLACE_IN_ENTRY = _ENTRY.size - 8
STATE_BYTES = _PLACE_IN_ENTRY
"""Of a state in a value, which stands before its place."""
_KINDS_NONE = 0


class Reports(NamedTuple):
    """The value of one subject."""

    version: int = 0
    """Number of changes so far, 0: there is no value yet."""
    counted: Counted | None = None
    states: tuple[ReportState, ...] = ()
    places: tuple[int, ...] = ()
    """The place at which each state changed history, or UNPLACED."""

    def place_of(self, state: ReportState) -> int | None:
        """Return the place of a state that was seen before, None if it was not."""
        return self.places[self.states.index(state)] if state in self.states else None

    def encode(self) -> bytes:
        """Return the bytes of the value; the first four are its version."""
        kind, hop, at, ids = self.counted or Counted(_KINDS_NONE, 0, 0, ("", "", ""))
        head = _HEAD.pack(self.version, kind, hop, at, *(each.encode() for each in ids), len(self.states))
        entries = zip(self.states, self.places, strict=True)
        return head + b"".join(
            _ENTRY.pack(each.report, each.reported_at, each.standing, each.state_hash, each.hop, each.about, place)
            for each, place in entries
        )

    @classmethod
    def decode(cls, value: bytes | None) -> Reports:
        """Return the value in bytes, that of a subject without reports for None."""
        if value is None:
            return cls()
        version, kind, hop, at, *ids, count = _HEAD.unpack_from(value)
        first, second, third = (each.rstrip(b"\0").decode() for each in ids)
        counted = Counted(kind, hop, at, (first, second, third)) if kind != _KINDS_NONE else None
        entries = [_ENTRY.unpack_from(value, _HEAD.size + i * _ENTRY.size) for i in range(count)]
        states = tuple(
            ReportState(report, reported_at, Standing(standing), state_hash, hop_, about)
            for report, reported_at, standing, state_hash, hop_, about, _ in entries
        )
        return cls(version, counted, states, tuple(entry[-1] for entry in entries))

    @property
    def place_at(self) -> int:
        """Return the offset in the bytes at which the place of the last state stands, as an int64."""
        return _HEAD.size + (len(self.states) - 1) * _ENTRY.size + _PLACE_IN_ENTRY

    def with_state(
        self, state: ReportState, counted_of: Callable[[Iterable[ReportState]], Counted | None]
    ) -> Reports:
        """Return the next value, in which `state` is the last one and has no place yet.

        `counted_of` derives the counted fact from the set of states. Raises Malformed if the value is full.
        """
        kept = [*zip(self.states, self.places, strict=True)]
        if len(kept) >= STATES_MAX:
            kept.remove(_superseded(kept))
        states = (*(each for each, _ in kept), state)
        counted = counted_of(states)
        if counted and self.counted and counted[:3] == self.counted[:3]:
            counted = self.counted  # a fact is taken back from the records in which it was counted
        return Reports(self.version + 1, counted, states, (*(place for _, place in kept), UNPLACED))

    def placed(self, place: int) -> Reports:
        """Return the value with the place of its last state."""
        return self._replace(places=(*self.places[:-1], place))


def _superseded(kept: list[tuple[ReportState, int]]) -> tuple[ReportState, int]:
    """Return the oldest state that a later one of its report replaces. Raises Malformed if there is none."""
    standing = set(latest(state for state, _ in kept))
    found = [each for each in kept if each[0] not in standing]
    if not found:
        raise Malformed("too_many_reports", "report_id")
    return min(found, key=lambda each: each[0].order)
