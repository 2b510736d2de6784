"""The wire format between the client and history.lua. Numbers are little-endian, keys 8 bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.columns import SIDES, Events
from shared.features.facts import Facts, asks
from shared.features.keys import Keys
from shared.features.layout import LAYOUTS, READ_WIDTH, Layout
from shared.features.life import (
    LIFE,
    LIFE_ID,
    READS_AT,
    SIDE_LETTERS,
    STORED,
    SideClaim,
    answers,
    asked,
    claims_of,
    encoded_answer,
    in_turn,
    stored_claims,
)
from shared.features.packing import packed
from shared.features.state import LAYOUT_ID
from shared.ports.history import LIFE_KEY, Answer, Changes, Claim, Observations

Argument = bytes | str | int

_TAG = f"pix:{LAYOUT_ID[:8]}"
SEQUENCE_KEY = f"{{{_TAG}}}n"
"""The key by which the script is called; its hash tag, which all keys share, changes with the layout of records."""
LETTERS = {layout.kind: layout.kind[0] for layout in LAYOUTS}
"""Prefix of the key of a record of each kind; of contacts it is that of the hash of a payer."""
CLAIM = np.dtype(
    [
        *(("side", "S1"), ("stored", "u1"), ("number", "<u2"), ("scored_at", "<i8"), ("key_version", "<u4")),
        *(("fingerprint", "<u8"), ("digest", "<u8"), ("length", "<u2")),
    ]
)
"""A claim up to its model version, as `SideClaim.encode` writes it."""
HEAD = READS_AT
"""Bytes of a life before its reads, which are its last field."""
_SIDE_LETTERS = np.array([SIDE_LETTERS[side] for side in SIDES])


class Keeping(NamedTuple):
    """Seconds for which the store keeps values that nothing touches."""

    message: int
    """A life while the row of a claim is not stored: as long as its message may come back."""
    life: int
    """A life all of whose rows are stored."""
    record: int
    """Records, and values about verdicts."""


class AskedPart(NamedTuple):
    """The Pix of a micro-batch whose lives are on one shard: the names of these, claims, heads of lives, and facts.

    `entries` are those of `shared.adapters.valkey.visits`, empty with one shard.
    """

    names: Sequence[str]
    version: bytes
    claims: bytes
    heads: bytes
    facts: Facts
    entries: bytes = b""

    def take(self, rows: NDArray[np.int64], facts: Facts, entries: bytes) -> AskedPart:
        """Return the Pix at some rows, with their facts on one shard and entries."""
        claims = np.frombuffer(self.claims, dtype=CLAIM)[rows].tobytes()
        heads = np.frombuffer(self.heads, dtype=f"V{HEAD}")[rows].tobytes()
        return AskedPart([self.names[i] for i in rows.tolist()], self.version, claims, heads, facts, entries)


class AskedBatch(NamedTuple):
    """A micro-batch of `observe`: its events, their fingerprints [n], their claim, and the bytes of the claims."""

    events: Events
    fingerprints: Keys
    claim: Claim
    claims: bytes
    version: bytes

    @classmethod
    def of(cls, events: Events, claim: Claim) -> AskedBatch:
        """Return the micro-batch of events."""
        columns, version = events.columns, (claim.model_version or "").encode()
        claims = np.zeros(len(events), dtype=CLAIM)
        claims["side"], claims["number"] = _SIDE_LETTERS[columns.side], 1
        claims["scored_at"], claims["key_version"], claims["length"] = *claim[1:], len(version)
        fingerprints = claims["fingerprint"] = columns.fingerprints()
        claims["digest"] = events.digests
        return cls(events, fingerprints, claim, claims.tobytes(), version)

    def first(self, place: int, life: bytes) -> tuple[SideClaim, bool]:
        """Return the first claim of the event's side in its life, and whether it is of another message."""
        side, own = self.events[place].side, self.claim
        digest = int(self.events.digests[place])
        mine = SideClaim(
            side, own.scored_at, own.key_version, int(self.fingerprints[place]), digest, own.model_version
        )
        first = in_turn(claims_of(life))[side]
        return first, first.contradicts(mine)

    @property
    def names(self) -> list[str]:
        """Return the names of the lives."""
        return [f"{LIFE_KEY}{LIFE_ID}{event.end_to_end_id}" for event in self.events]

    def part(self) -> AskedPart:
        """Return the whole micro-batch, for one shard."""
        lives = asked(self.events.columns, self.claim.scored_at)
        heads = lives.view(np.uint8).reshape(len(lives), LIFE.itemsize)[:, :HEAD]
        return AskedPart(self.names, self.version, self.claims, heads.tobytes(), asks(self.events.columns))

    def tail(self, place: int) -> bytes:
        """Return the bytes of the claim of an event."""
        return self.claims[place * CLAIM.itemsize : (place + 1) * CLAIM.itemsize] + self.version


def name_of(key: str) -> str:
    """Return the name of a value in the store, without the hash tag.

    >>> name_of("sE1"), name_of("lE1") == f"l{LIFE_ID}E1"
    ('sE1', True)
    """
    return f"{LIFE_KEY}{LIFE_ID}{key[1:]}" if key[0] == LIFE_KEY else key


def sequence_key(shard: int, shards: int, hmac_key: str = "") -> str:
    """Return the key by which the script is called for a shard; its hash tag puts each shard into one slot.

    The fingerprint of the HMAC key stands before the tag: each key has a history of its own, in the same slots.

    >>> sequence_key(0, 1) == SEQUENCE_KEY, sequence_key(2, 3).endswith(":3:2}n")
    (True, True)
    >>> sequence_key(0, 1, "3d7e5c2e") == "3d7e5c2e" + SEQUENCE_KEY
    True
    """
    return hmac_key + (SEQUENCE_KEY if shards == 1 else f"{{{_TAG}:{shards}:{shard}}}n")


def observe_arguments(part: AskedPart, keeping: Keeping, notes: Sequence[Argument]) -> list[Argument]:
    """Return the arguments of `observe`; `notes` tell stored rows, by `row_name`, and visits that are made."""
    return [
        "observe",
        *keeping,
        *(part.version, part.claims, part.heads),
        *fact_arguments(part.facts),
        part.entries,
        len(notes),
        *notes,
        *part.names,
    ]


def row_name(end_to_end_id: str, side: str) -> str:
    """Return the name of the row of a side: the letter of the side, then the name of the life."""
    return f"{SIDE_LETTERS[side].decode()}{LIFE_KEY}{LIFE_ID}{end_to_end_id}"


def answer_arguments(answers: Sequence[Answer]) -> list[Argument]:
    """Return the arguments of `answer`."""
    pairs = ((name_of(LIFE_KEY + id_), encoded_answer(side, decision)) for id_, side, decision in answers)
    return ["answer", *(argument for pair in pairs for argument in pair)]


def observations(
    values: Sequence[bytes], batch: AskedBatch, visited: Sequence[Mapping[int, tuple[int, ...]]] = ()
) -> Observations:
    """Decode lives; `visited` [n] are the places on other shards of each one's changes, by their own places."""
    size, count = LIFE.itemsize, len(values)
    lives = np.frombuffer(b"".join([value[:size] for value in values]), dtype=LIFE)
    claims = [batch.claim] * count
    numbers: list[int | None] = [1] * count
    decisions: list[bytes | None] = [None] * count
    taken, stored = np.zeros(count, dtype=bool), [False] * count
    for place, value in enumerate(values):
        if value[size:] != batch.tail(place):
            first, taken[place] = batch.first(place, value)
            claims[place] = Claim(first.model_version, first.scored_at, first.key_version)
            numbers[place], decisions[place], stored[place] = first.number, first.answer, first.stored
    # Each side by itself: the row of one may be stored, and that of the other still to be decided, without reads.
    reads, places = answers(lives, stored)
    own = zip(visited or [{}] * count, lives["place"].tolist(), strict=True)
    others = [each.get(place, ()) for each, place in own]
    return Observations(reads, places, claims, taken, lives, numbers, decisions, others)


def change_arguments(
    changes: Changes, keeping: Keeping, notes: Sequence[Argument] = (), entries: Sequence[bytes] = ()
) -> list[Argument]:
    """Return the arguments of `change`: notes as for `observe`, entries [n] of `shared.adapters.valkey.visits`."""
    items = np.zeros((len(changes.keys), 4), dtype="<i4")
    items[:, 0] = np.array(changes.expected, dtype=np.uint32).view(np.int32)
    items[:, 1], items[:, 2] = changes.place_at, np.bincount(changes.of, minlength=len(items))
    if entries:
        items[:, 3] = list(map(len, entries))
    named = zip(map(name_of, changes.keys), changes.values, strict=True)
    return [
        "change",
        *keeping,
        *fact_arguments(changes.facts),
        *(items.tobytes(), b"".join(entries)),
        len(notes),
        *notes,
        *(argument for each in named for argument in each),
    ]


def fill_arguments(
    layout: Layout, keys: Keys, payers: Keys, records: NDArray[np.float64], record_seconds: int
) -> list[Argument]:
    """Return the arguments of `fill`; `payers` are those of contacts."""
    stored = packed(layout, records).tobytes()
    return ["fill", record_seconds, layout.kind, *(each.astype("<u8").tobytes() for each in (keys, payers)), stored]


def forget_arguments(keys: Keys, payers: Keys) -> list[Argument]:
    """Return the arguments of `forget`, for contacts and their payers."""
    return ["forget", keys.astype("<u8").tobytes(), payers.astype("<u8").tobytes()]


def put_arguments(values: Iterable[tuple[str, bytes]], seconds: int) -> list[Argument]:
    """Return the arguments of `put`, for values by key."""
    return ["put", seconds, *(argument for key, value in values for argument in (name_of(key), value))]


def stored_life(sides: Iterable[str]) -> bytes:
    """Return the life of a Pix whose rows of these sides are stored."""
    life = np.zeros(1, dtype=LIFE)
    life["version"], life["place"], life["reads"] = 1, STORED, np.full(READ_WIDTH, np.nan)
    return life.tobytes() + stored_claims(sides)


def fact_arguments(facts: Facts) -> tuple[bytes, bytes, bytes, bytes]:
    """Return keys, the columns of weights and of marks that are in use, and rows of the time and these columns."""
    weights = np.flatnonzero(facts.weights.any(axis=0))
    marks = np.flatnonzero((facts.marks > -np.inf).any(axis=0))
    rows = np.concatenate((facts.at[:, None], facts.weights[:, weights], facts.marks[:, marks]), axis=1)
    return (
        facts.keys.astype("<u8").tobytes(),
        bytes(weights.tolist()),
        bytes(marks.tolist()),
        rows.astype("<f8").tobytes(),
    )
