"""`shared.ports.History` and `shared.ports.ChangingHistory` in the memory of one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.features.columns import Columns, Events
from shared.features.facts import asks
from shared.features.history import MemoryHistory
from shared.features.life import LIFE, Lives, SideClaim, answers, asked, claims_of
from shared.ports import CONFLICT, LIFE_KEY, UNPLACED, Changes, Claim, Observations

LIVES = 20_000
"""Transactions whose lives are kept, in 1 kB each: at 30 a second, the eleven minutes between two deliveries (see
`shared.settings.CLAIM_SECONDS`)."""

_SIZE = LIFE.itemsize


class MemoryHistoryAdapter:
    """History that counts each EndToEndId once while its life is among the last `lives`."""

    def __init__(self, history: MemoryHistory | None = None, lives: int = LIVES) -> None:
        self.history = history or MemoryHistory()
        self._capacity = lives
        self._lives: OrderedDict[str, bytes] = OrderedDict()
        self._states: dict[str, bytes] = {}

    @classmethod
    def load(cls, path: str | Path) -> MemoryHistoryAdapter:
        """Start from a dump of history. Raises Misconfigured."""
        return cls(MemoryHistory.load(path))

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask, once for each EndToEndId."""
        ids = [event.end_to_end_id for event in events]
        if len(set(ids)) == len(ids) and self._lives.keys().isdisjoint(ids):
            lives = self._count(events, events.columns, claim)
            self._forget()
            return self._observations(lives, [claim] * len(ids), np.zeros(len(ids), dtype=bool))
        return self._observe_again(events, claim)

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key."""
        return [self._read(key) for key in keys]

    async def change(self, changes: Changes) -> NDArray[np.int64]:
        """Make each change whose stored value has the expected version; return the place of each."""
        places = np.full(len(changes.keys), UNPLACED, dtype=np.int64)
        counted = np.zeros(len(changes.facts), dtype=bool)
        bounds = np.searchsorted(changes.of, np.arange(len(places) + 1))
        for i, (key, expected) in enumerate(zip(changes.keys, changes.expected, strict=True)):
            stored = self._read(key)
            if (int.from_bytes(stored[:4], "little") if stored else 0) != expected:
                places[i] = CONFLICT
                continue
            start, stop = int(bounds[i]), int(bounds[i + 1])
            if stop > start:
                self.history.sequence += 1
                places[i] = self.history.sequence
                counted[start:stop] = True
            self._write(key, _placed(changes.values[i], changes.place_at[i], int(places[i])), stored)
        self.history.count(changes.facts if counted.all() else changes.facts[counted])
        self._forget()
        return places

    def restore(self, states: Mapping[str, bytes]) -> None:
        """Store the values of a replay by key."""
        self._states.update(states)

    def _observe_again(self, events: Events, claim: Claim) -> Observations:
        """Observe events of which some were observed before, or repeat in this batch."""
        own = side_claims(events, claim)
        fresh: dict[str, int] = {}
        for place, event in enumerate(events):
            if event.end_to_end_id not in self._lives:
                fresh.setdefault(event.end_to_end_id, place)
        if fresh:
            rows = list(fresh.values())
            self._count(Events(events[i] for i in rows), events.columns[np.array(rows)], claim)
        first = [self._claimed(event.end_to_end_id, side) for event, side in zip(events, own, strict=True)]
        data = b"".join([self._lives[event.end_to_end_id][:_SIZE] for event in events])
        self._forget()
        taken = [side.contradicts(mine) for side, mine in zip(first, own, strict=True)]
        claims = [Claim(side.model_version, side.scored_at, side.key_version) for side in first]
        return self._observations(np.frombuffer(data, dtype=LIFE), claims, np.array(taken, dtype=bool))

    def _count(self, events: Events, columns: Columns, claim: Claim) -> Lives:
        """Count asks, each of another Pix, and store their lives [n]."""
        lives = asked(columns, claim.scored_at)
        lives["reads"] = self.history.ask(asks(columns))
        lives["place"] = self.history.sequence + 1 + np.arange(len(events))
        self.history.sequence += len(events)
        data = lives.tobytes()
        for i, side in enumerate(side_claims(events, claim)):
            self._lives[events[i].end_to_end_id] = data[i * _SIZE : (i + 1) * _SIZE] + side.encode()
        return lives

    def _claimed(self, id_: str, own: SideClaim) -> SideClaim:
        """Return the first claim of the side of `own`, which claims the Pix if nobody did."""
        known = claims_of(self._lives[id_])
        if own.side not in known:
            self._lives[id_] += own.encode()
        return known.get(own.side, own)

    @staticmethod
    def _observations(lives: Lives, claims: list[Claim], taken: NDArray[np.bool_]) -> Observations:
        reads, places = answers(lives, [claim.key_version for claim in claims])
        return Observations(reads, places, claims, taken, lives)

    def _read(self, key: str) -> bytes | None:
        return self._lives.get(key[1:]) if key[0] == LIFE_KEY else self._states.get(key)

    def _write(self, key: str, value: bytes, stored: bytes | None) -> None:
        if key[0] == LIFE_KEY:
            self._lives[key[1:]] = value + (stored[_SIZE:] if stored else b"")
        else:
            self._states[key] = value

    def _forget(self) -> None:
        """Forget the oldest lives above the capacity."""
        while len(self._lives) > self._capacity:
            self._lives.popitem(last=False)  # the first of a plain dict is found behind all that were deleted


def side_claims(events: Events, claim: Claim) -> list[SideClaim]:
    """Return the claim of each event's side."""
    scored_at, key_version, version = claim.scored_at, claim.key_version, claim.model_version
    return [
        SideClaim(event.side, scored_at, key_version, fingerprint, version)
        for event, fingerprint in zip(events, events.columns.fingerprints().tolist(), strict=True)
    ]


def _placed(value: bytes, at: int, place: int) -> bytes:
    return value if at < 0 else value[:at] + place.to_bytes(8, "little", signed=True) + value[at + 8 :]
