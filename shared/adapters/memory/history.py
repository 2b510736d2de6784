"""`shared.ports.History` and `shared.ports.ChangingHistory` in the memory of one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.features.columns import Events
from shared.features.facts import asks
from shared.features.history import READ_WIDTH, MemoryHistory
from shared.features.life import LIFE, SideClaim, asked, claims_of
from shared.ports import CONFLICT, LIFE_KEY, UNPLACED, Changes, Claim, Observations

LIVES = 30_000
"""Transactions whose lives are kept, in 1 kB each: at 45 a second, the eleven minutes between two deliveries (see
`shared.settings.CLAIM_SECONDS`)."""

_SIZE = LIFE.itemsize


class MemoryHistoryAdapter:
    """History that counts each EndToEndId once while its life is among the last `lives`."""

    def __init__(self, history: MemoryHistory | None = None, lives: int = LIVES) -> None:
        self.history = history or MemoryHistory()
        self._capacity = lives
        self._lives: dict[str, bytes] = {}
        self._states: dict[str, bytes] = {}

    @classmethod
    def load(cls, path: str | Path) -> MemoryHistoryAdapter:
        """Start from a dump of history. Raises Misconfigured."""
        return cls(MemoryHistory.load(path))

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask, once for each EndToEndId."""
        columns = events.columns
        fingerprints = columns.fingerprints()
        own = [
            SideClaim(event.side, claim.scored_at, claim.key_version, fingerprint, claim.model_version)
            for event, fingerprint in zip(events, fingerprints.tolist(), strict=True)
        ]
        fresh: dict[str, int] = {}
        for place, event in enumerate(events):
            if event.end_to_end_id not in self._lives:
                fresh.setdefault(event.end_to_end_id, place)
        values = self._count(events, np.array(list(fresh.values()), dtype=np.int64), claim, own)
        found = [self._claimed(event.end_to_end_id, side, values) for event, side in zip(events, own, strict=True)]
        self._forget()
        lives = np.frombuffer(b"".join([value[:_SIZE] for value, _ in found]), dtype=LIFE)
        first = [side for _, side in found]
        taken = [side.contradicts(mine) for side, mine in zip(first, own, strict=True)]
        return Observations(
            lives["reads"].reshape(len(events), READ_WIDTH),
            lives["place"].copy(),
            [Claim(side.model_version, side.scored_at, side.key_version) for side in first],
            np.array(taken, dtype=bool),
            lives,
        )

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

    def _count(
        self, events: Events, fresh: NDArray[np.int64], claim: Claim, own: Sequence[SideClaim]
    ) -> dict[str, bytes]:
        """Count the asks at indexes `fresh`, and store their lives; return these with every life that is known."""
        known = {id_: value for event in events if (value := self._lives.get(id_ := event.end_to_end_id))}
        if len(fresh):
            columns = events.columns if len(fresh) == len(events) else events.columns[fresh]
            lives = asked(columns, claim.scored_at)
            lives["reads"] = self.history.ask(asks(columns))
            lives["place"] = self.history.sequence + 1 + np.arange(len(fresh))
            self.history.sequence += len(fresh)
            data = lives.tobytes()
            for i, place in enumerate(fresh.tolist()):
                id_, value = events[place].end_to_end_id, data[i * _SIZE : (i + 1) * _SIZE] + own[place].encode()
                self._lives[id_] = known[id_] = value
        return known

    def _claimed(self, id_: str, own: SideClaim, values: dict[str, bytes]) -> tuple[bytes, SideClaim]:
        """Return the life of a Pix and the first claim of the side of `own`, which claims it if nobody did."""
        claims = claims_of(values[id_])
        if own.side not in claims:
            self._lives[id_] = values[id_] = values[id_] + own.encode()
            return values[id_], own
        return values[id_], claims[own.side]

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
            del self._lives[next(iter(self._lives))]


def _placed(value: bytes, at: int, place: int) -> bytes:
    return value if at < 0 else value[:at] + place.to_bytes(8, "little", signed=True) + value[at + 8 :]
