"""`shared.ports.History` and `shared.ports.Verdicts` in the memory of one process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.columns import Columns, Events
from shared.features.facts import VerdictCount
from shared.features.history import READ_WIDTH, MemoryHistory
from shared.features.keys import Keys
from shared.features.verdicts import VerdictLog
from shared.ports import Claim, Observations, PixVerdict

CLAIMS = 30_000
"""Transactions whose first reads are kept, in 0.6 kB each: at 45 a second, the eleven minutes between two deliveries
(see `shared.settings.CLAIM_SECONDS`)."""


class _Remembered(NamedTuple):
    """The first observation of a transaction."""

    reads: NDArray[np.float32]
    sequence: int
    fingerprint: np.uint64
    claim: Claim


class MemoryHistoryAdapter:
    """History that counts each EndToEndId once while it is among the last `claims` observed."""

    def __init__(self, history: MemoryHistory | None = None, claims: int = CLAIMS) -> None:
        self.history = history or MemoryHistory()
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = [None] * claims
        self._claims: list[Claim | None] = [None] * claims
        self._reads = np.empty((claims, READ_WIDTH), dtype=np.float32)
        self._sequence = np.empty(claims, dtype=np.int64)
        self._fingerprints = np.empty(claims, dtype=np.uint64)
        self._next = 0
        self._verdicts = VerdictLog()

    @classmethod
    def load(cls, path: str | Path) -> MemoryHistoryAdapter:
        """Start from a dump of history. Raises Misconfigured."""
        return cls(MemoryHistory.load(path))

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count it, once for each EndToEndId."""
        capacity = len(self._ids)
        if 0 < len(events) <= capacity:
            return self._observe(events, claim)
        parts = [self._observe(Events(events[i : i + capacity]), claim) for i in range(0, len(events), capacity)]
        return Observations(
            np.concatenate([np.empty((0, READ_WIDTH), dtype=np.float32), *(part.reads for part in parts)]),
            np.concatenate([np.empty(0, dtype=np.int64), *(part.sequence for part in parts)]),
            [each for part in parts for each in part.claims],
            np.concatenate([np.empty(0, dtype=bool), *(part.taken for part in parts)]),
        )

    async def apply(self, verdicts: Sequence[PixVerdict]) -> list[int | None]:
        """Count each verdict and reverse the one it replaces; return the sequence at which each counts."""
        for id_, parties, reported in verdicts:
            changes = self._verdicts.apply(id_, reported, self.history.sequence)
            self.history.report([VerdictCount(*parties, each.reported_at, each.fraud, each.sign) for each in changes])
        return [self._verdicts.counted_at(id_, reported) for id_, _, reported in verdicts]

    def _observe(self, events: Events, claim: Claim) -> Observations:
        """Observe events, at most as many as claims are kept."""
        columns, ids = events.columns, [event.end_to_end_id for event in events]
        fingerprints = columns.fingerprints()
        if len(set(ids)) == len(ids) and self._slots.keys().isdisjoint(ids):
            reads, sequence = self._count(events, columns, fingerprints, claim)
            return Observations(reads, sequence, [claim] * len(events), np.zeros(len(events), dtype=bool))
        return self._merged(events, columns, fingerprints, claim)

    def _merged(self, events: Sequence[Event], columns: Columns, fingerprints: Keys, claim: Claim) -> Observations:
        """Observe events of which some were observed before; those are read first, as new ones may evict them."""
        first: dict[str, int] = {}
        for place, event in enumerate(events):
            if event.end_to_end_id not in self._slots:
                first.setdefault(event.end_to_end_id, place)
        known = {id_: self._remembered(id_) for event in events if (id_ := event.end_to_end_id) not in first}
        places = np.array(list(first.values()), dtype=np.int64)
        fresh = [events[place] for place in first.values()]
        reads, sequence = self._count(fresh, columns[places], fingerprints[places], claim)
        seen = zip(reads, sequence.tolist(), fingerprints[places], strict=True)
        known.update((id_, _Remembered(*each, claim)) for id_, each in zip(first, seen, strict=True))
        found = [known[event.end_to_end_id] for event in events]
        same_key = [each.claim.key_version == claim.key_version for each in found]
        return Observations(
            np.stack([each.reads for each in found]),
            np.array([each.sequence for each in found], dtype=np.int64),
            [each.claim for each in found],
            (np.array([each.fingerprint for each in found], dtype=np.uint64) != fingerprints) & np.array(same_key),
        )

    def _remembered(self, end_to_end_id: str) -> _Remembered:
        slot = self._slots[end_to_end_id]
        claim = self._claims[slot]
        assert claim is not None
        return _Remembered(self._reads[slot].copy(), int(self._sequence[slot]), self._fingerprints[slot], claim)

    def _count(
        self, events: Sequence[Event], columns: Columns, fingerprints: Keys, claim: Claim
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        reads, sequence = self.history.observe(columns)
        slots = (self._next + np.arange(len(events))) % len(self._ids)
        self._next = (self._next + len(events)) % len(self._ids)
        self._reads[slots], self._sequence[slots], self._fingerprints[slots] = reads, sequence, fingerprints
        for slot, event in zip(slots.tolist(), events, strict=True):
            if (forgotten := self._ids[slot]) is not None:
                del self._slots[forgotten]
            self._ids[slot], self._claims[slot] = event.end_to_end_id, claim
            self._slots[event.end_to_end_id] = slot
        return reads, sequence
