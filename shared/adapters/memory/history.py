"""`History` and `ChangingHistory` of `shared.ports.history` in the memory of one process, which is one shard."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from shared.features.columns import Columns, Events
from shared.features.facts import asks
from shared.features.history import MemoryHistory
from shared.features.keys import Keys
from shared.features.layout import READ_WIDTH
from shared.features.life import (
    LIFE,
    MOST_ASKED,
    Lives,
    SideClaim,
    answers,
    asked,
    claims_at,
    claims_of,
    encoded_answer,
    in_turn,
    mark_stored,
)
from shared.ports.history import CONFLICT, LIFE_KEY, UNPLACED, Answer, Changed, Changes, Claim, Observations

LIVES = 20_000
"""Transactions whose lives are kept, in 1 kB each: at 30 a second, the eleven minutes between two deliveries (see
`shared.settings.CLAIM_SECONDS`)."""

_SIZE = LIFE.itemsize


class MemoryHistoryAdapter:
    """History that counts each EndToEndId once while its life is among the last `lives`."""

    def __init__(self, history: MemoryHistory | None = None, lives: int = LIVES) -> None:
        self.history = history or MemoryHistory()
        self._capacity = lives
        self._lives: OrderedDict[str, bytearray] = OrderedDict()
        self._states: dict[str, bytes] = {}

    @classmethod
    def load(cls, path: str | Path) -> MemoryHistoryAdapter:
        """Start from a dump of history. Raises Misconfigured."""
        return cls(MemoryHistory.load(path))

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask, once for each EndToEndId."""
        ids = [event.end_to_end_id for event in events]
        if len(set(ids)) == len(ids) and self._lives.keys().isdisjoint(ids):
            lives = self._count(events, events.columns, events.digests, claim)
            self._forget()
            reads = np.ascontiguousarray(lives["reads"]).reshape(-1, READ_WIDTH)
            nothing = np.zeros(len(ids), dtype=bool)
            return Observations(
                *(reads, lives["place"], [claim] * len(ids), nothing, lives),
                *([1] * len(ids), [None] * len(ids), [()] * len(ids)),
            )
        return self._observe_again(events, claim)

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note that rows, by EndToEndId and side, are stored."""
        for id_, side in rows:
            if life := self._lives.get(id_):
                mark_stored(life, side)

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Keep the first decisions of transactions whose rows could not be stored."""
        for id_, side, decision in answers:
            known = claims_of(bytes(self._lives[id_])) if id_ in self._lives else {}
            if side in known and not known[side].stored and known[side].answer is None:
                self._claim(id_, known | {side: known[side]._replace(answer=decision)})

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        """Do nothing: lives go by their number, not by time."""

    async def keep_reads(self) -> None:
        """Do nothing: all reads are kept at once."""

    async def settle(self) -> None:
        """Do nothing: stored rows are noted at once."""

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key."""
        return [bytes(stored) if (stored := self._stored(key)) else None for key in keys]

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        """Return no places, as there is one shard."""
        return [()] * len(changes)

    async def change(self, changes: Changes) -> Changed:
        """Make each change whose stored value has the expected version; return its places."""
        places = [UNPLACED] * len(changes.keys)
        bounds = np.searchsorted(changes.of, np.arange(len(places) + 1)).tolist()
        for i, (key, expected) in enumerate(zip(changes.keys, changes.expected, strict=True)):
            stored = self._stored(key)
            if (int.from_bytes(stored[:4], "little") if stored else 0) != expected:
                places[i] = CONFLICT
                continue
            if bounds[i + 1] > bounds[i]:
                self.history.sequence += 1
                places[i] = self.history.sequence
            self._write(key, changes.values[i], changes.place_at[i], places[i])
        found = np.array(places, dtype=np.int64)
        conflicts = CONFLICT in places
        self.history.count(changes.facts[found[changes.of] != CONFLICT] if conflicts else changes.facts)
        self._forget()
        return Changed(found, [()] * len(found))

    def restore(self, states: Mapping[str, bytes]) -> None:
        """Store the values of a replay by key."""
        self._states.update(states)

    def _observe_again(self, events: Events, claim: Claim) -> Observations:
        """Observe events of which some were observed before, or repeat in this batch."""
        own = side_claims(events, events.columns, events.digests, claim)
        fresh: dict[str, int] = {}
        for place, event in enumerate(events):
            if event.end_to_end_id not in self._lives:
                fresh.setdefault(event.end_to_end_id, place)
        if fresh:
            rows = np.array(list(fresh.values()))
            self._count(Events(events[i] for i in rows), events.columns[rows], events.digests[rows], claim)
        new = set(fresh.values())
        first = [self._claimed(event.end_to_end_id, own[i], i in new) for i, event in enumerate(events)]
        data = b"".join([self._lives[event.end_to_end_id][:_SIZE] for event in events])
        self._forget()
        lives = np.frombuffer(data, dtype=LIFE)
        reads, places = answers(lives, [side.stored for side in first])
        taken = [side.contradicts(mine) for side, mine in zip(first, own, strict=True)]
        claims = [Claim(side.model_version, side.scored_at, side.key_version) for side in first]
        return Observations(
            *(reads, places, claims, np.array(taken, dtype=bool), lives),
            *([side.number for side in first], [side.answer for side in first], [()] * len(first)),
        )

    def _count(self, events: Events, columns: Columns, digests: Keys, claim: Claim) -> Lives:
        """Count asks, each of another Pix, and store their lives [n]."""
        lives = asked(columns, claim.scored_at)
        lives["reads"] = self.history.ask(asks(columns))
        lives["place"] = self.history.sequence + 1 + np.arange(len(events))
        self.history.sequence += len(events)
        data = memoryview(lives.tobytes())
        for i, side in enumerate(side_claims(events, columns, digests, claim)):
            life = bytearray(data[i * _SIZE : (i + 1) * _SIZE])
            life += side.encode()
            self._lives[events[i].end_to_end_id] = life
        return lives

    def _claimed(self, id_: str, own: SideClaim, new: bool) -> SideClaim:
        """Return the first claim of the side of `own`, which claims the Pix if nobody did; count its askings."""
        known = claims_of(bytes(self._lives[id_]))
        claims = in_turn(known if own.side in known else {**known, own.side: own})
        first = claims[own.side]
        if own.side in known:
            if new:
                return first
            first = first._replace(number=min(first.number + 1, MOST_ASKED))
        self._claim(id_, claims | {own.side: first})
        return first

    def _claim(self, id_: str, claims: Mapping[str, SideClaim]) -> None:
        """Write claims and answers behind a life."""
        tail = b"".join(side.encode() for side in claims.values())
        tail += b"".join(encoded_answer(side, each.answer) for side, each in claims.items() if each.answer)
        life = self._lives[id_]
        self._lives[id_] = life[: claims_at(life)] + tail

    def _stored(self, key: str) -> bytes | bytearray | None:
        return self._lives.get(key[1:]) if key[0] == LIFE_KEY else self._states.get(key)

    def _write(self, key: str, value: bytes, at: int, place: int) -> None:
        """Write a value with a place at `at`, -1 for none; a life keeps what is behind it and not in the value."""
        if key[0] != LIFE_KEY:
            self._states[key] = value if at < 0 else bytes(_placed(bytearray(value), at, place))
            return
        life = self._lives.setdefault(key[1:], bytearray())
        life[: claims_at(life) if len(value) > _SIZE else _SIZE] = value
        if at >= 0:
            _placed(life, at, place)

    def _forget(self) -> None:
        """Forget the oldest lives above the capacity."""
        while len(self._lives) > self._capacity:
            self._lives.popitem(last=False)  # the first of a plain dict is found behind all that were deleted


def side_claims(events: Events, columns: Columns, digests: Keys, claim: Claim) -> list[SideClaim]:
    """Return the claim of each event's side."""
    scored_at, key_version, version = claim.scored_at, claim.key_version, claim.model_version
    return [
        SideClaim(event.side, scored_at, key_version, fingerprint, digest, version)
        for event, fingerprint, digest in zip(events, columns.fingerprints().tolist(), digests.tolist(), strict=True)
    ]


def _placed(value: bytearray, at: int, place: int) -> bytearray:
    """Write a place into a value, and return it."""
    value[at : at + 8] = place.to_bytes(8, "little", signed=True)
    return value
