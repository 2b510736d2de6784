"""Visits: the part of a fact that other shards than its home have to count, and its bytes in the store.

The home keeps an *entry* beside the value whose change has such facts, in the script that makes the change. Whoever
finds the entry, the client that made it or a later one, makes its visits, and then tells the home that it is done. So
a client may end at any point. A visited shard counts an entry once, by the identity of its step. It follows from the
value and from the statement that changed it, and neither from the place nor from the weights, which depend on
records, so that a home that lost the change, and makes it again, is recognised.

Until the home knows that the visits of an ask are made, a visited shard that falls back reads the ask once more. So
no decision is stored, and no change is made, by reads that the home does not have: it keeps those it is told first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.adapters.valkey.wire import Argument, Keeping, fact_arguments
from shared.features.facts import Facts
from shared.features.layout import MARKS, READ_WIDTH, ROLES, WEIGHTS
from shared.features.places import Place
from shared.features.shards import NOWHERE, Shards, masked, shards_of

FACT = np.dtype(
    [
        *(("keys", "<u8", (len(ROLES),)), ("at", "<f8")),
        *(("weights", "<f8", (len(WEIGHTS),)), ("marks", "<f8", (len(MARKS),))),
    ]
)
"""A fact in an entry."""
ENTRY = np.dtype([("kind", "S1"), ("step", "V16"), ("fact", FACT)])
"""The entry of an ask; that of a change has any number of facts. A kind of zero stands for none."""
ENTRY_KEY, STEP_KEY = "o", "v"
"""Letters of the keys of entries and steps, as in values.lua."""
AGAIN_KEY = "O"
"""Letter of the note of an entry that shards have counted again."""
_ASK, _CHANGE, _DONE = b"a", b"c", b"d"
_STEP = slice(1, 17)
_FACTS_AT = ENTRY.fields["fact"][1]  # type: ignore[index]  # numpy's stubs: fields may be None
_TOLD = struct.Struct("<BH")
_ROLE_OF_READ = np.repeat(np.arange(len(ROLES)), [role.layout.width for role in ROLES])


class Entry(NamedTuple):
    """An entry with visits to make: shard and name of its value, the packed place of its change, and its text.

    Of an entry that was done, only the visits of some shards, which have lost them, are made again; `kept` are the
    places of the others. The reads of the first visits stand: the decision, and facts on other shards, rest on them.
    """

    home: int
    name: str
    place: bytes
    text: bytes
    again: frozenset[int] = frozenset()
    kept: tuple[int, ...] = ()

    @property
    def is_ask(self) -> bool:
        """Return whether the visits read too."""
        return self.text[:1] == _ASK

    @property
    def is_recount(self) -> bool:
        """Return whether an ask is counted again where it was lost."""
        return self.is_ask and bool(self.again)

    @property
    def is_first_ask(self) -> bool:
        """Return whether the life takes the values that the visits read."""
        return self.is_ask and not self.again

    @property
    def step(self) -> bytes:
        """Return the name of its steps, the same one on each shard."""
        return STEP_KEY.encode() + self.text[_STEP]


class Made(NamedTuple):
    """The visits of an entry: the place of each, the shard of each, and the reads of an ask, roles and values."""

    places: list[int]
    shards: list[int]
    reads: list[tuple[bytes, bytes]]


class VisitCall(NamedTuple):
    """The visits of a shard: the indexes of their entries, in the order of the answers, and the arguments."""

    shard: int
    entries: list[int]
    arguments: list[Argument]


def ask_step(name: str) -> bytes:
    """Return the identity of the steps of an ask, by the name of its life."""
    return blake2b(name.encode(), digest_size=16).digest()


def ask_entries(facts: Facts, of: Shards, homes: Shards, names: Sequence[str]) -> NDArray[np.void]:
    """Return the entries [n] of asks at home on `homes` [n], with records on `of` [n, len(ROLES)]."""
    entries = np.zeros(len(facts), dtype=ENTRY)
    entries["kind"][_away(of, homes)] = _ASK
    entries["step"] = np.frombuffer(b"".join(map(ask_step, names)), dtype="V16")
    _put(entries["fact"], facts)
    return entries


def change_entries(
    facts: Facts,
    fact_of: NDArray[np.int64],
    shards: int,
    homes: Shards,
    names: Sequence[str],
    statements: Sequence[bytes],
) -> list[bytes]:
    """Return the entries [n] of changes by statements, empty where all facts are at home."""
    rows, away = np.zeros(len(facts), dtype=FACT), np.zeros(len(names), dtype=bool)
    _put(rows, facts)
    away[fact_of[_away(shards_of(facts, shards), homes[fact_of])]] = True
    bounds = np.searchsorted(fact_of, np.arange(len(names) + 1)).tolist()
    found = []
    for i, name in enumerate(names):
        text = rows[bounds[i] : bounds[i + 1]].tobytes() if away[i] else b""
        identity = blake2b(name.encode() + b"\0" + statements[i], digest_size=16).digest()
        found.append(_CHANGE + identity + text if text else b"")
    return found


def is_done(text: bytes) -> bool:
    """Return whether the visits of an entry are made."""
    return text[:1] == _DONE


def done_at(text: bytes) -> tuple[int, ...]:
    """Return the places of the visits of an entry that is done."""
    return tuple(np.frombuffer(text[2 : 2 + 8 * text[1]], dtype="<i8").tolist())


def lost_part(entry: Entry, lost: Callable[[int], bool]) -> Entry | None:
    """Return an entry that is done as one whose lost visits are to be made again, None if none is lost."""
    kept, gone = [], set()
    for place in done_at(entry.text):
        if lost(place):
            gone.add(Place.of(place).shard)
        else:
            kept.append(place)
    text = entry.text[2 + 8 * entry.text[1] :]
    return entry._replace(text=text, again=frozenset(gone), kept=tuple(kept)) if gone else None


def visit_calls(entries: Sequence[Entry], shards: int, keeping: Keeping) -> Iterator[VisitCall]:
    """Yield the calls that make the visits of entries, one for each shard."""
    texts = [entry.text[_FACTS_AT:] for entry in entries]
    rows = np.frombuffer(b"".join(texts), dtype=FACT)
    facts = Facts(*(np.ascontiguousarray(rows[name]) for name in ("keys", "at", "weights", "marks")))
    owner = np.repeat(np.arange(len(entries)), [len(text) // FACT.itemsize for text in texts])
    homes, of = np.array([entry.home for entry in entries])[owner], shards_of(facts, shards)
    is_ask = np.array([entry.is_ask for entry in entries])
    for shard in range(shards):
        made_there = np.array([bool(entry.again) and shard not in entry.again for entry in entries])[owner]
        there = np.flatnonzero((of == shard).any(axis=1) & (homes != shard) & ~made_there)
        if not len(there):
            continue
        own, counts = np.unique(owner[there], return_counts=True)
        items = np.stack((is_ask[own], counts), axis=1).astype("<u4")
        indexes = own.tolist()
        arguments = fact_arguments(masked(facts[there], of[there], shard))
        steps = [entries[i].step for i in indexes]
        kept = (keeping.message, keeping.record)
        yield VisitCall(shard, indexes, ["visit", *kept, *arguments, items.tobytes(), *steps])


def made(count: int, calls: Sequence[VisitCall], answers: Sequence[Sequence[bytes]]) -> list[Made]:
    """Return the visits of each of `count` entries by the answers to the calls."""
    found = [Made([], [], []) for _ in range(count)]
    for call, steps in zip(calls, answers, strict=True):
        for i, step in zip(call.entries, steps, strict=True):
            found[i].places.append(int.from_bytes(step[:8], "little"))
            found[i].shards.append(call.shard)
            if len(step) > 8:
                found[i].reads.append((step[8 : 8 + len(ROLES)], step[8 + len(ROLES) :]))
    return found


def joined_reads(reads: Sequence[bytes], others: Sequence[Sequence[tuple[bytes, bytes]]]) -> list[bytes]:
    """Return reads at home, in the bytes of lives, with those of the visits of each."""
    whole = np.frombuffer(b"".join(reads), dtype="<f4").reshape(-1, READ_WIDTH).copy()
    row_of = np.repeat(np.arange(len(reads)), list(map(len, others)))
    visits = [visit for several in others for visit in several]
    roles = np.frombuffer(b"".join([each for each, _ in visits]), dtype=np.uint8).reshape(-1, len(ROLES))
    visit, column = np.nonzero(roles.take(_ROLE_OF_READ, axis=1))
    whole[row_of[visit], column] = np.frombuffer(b"".join([each for _, each in visits]), dtype="<f4")
    return [row.tobytes() for row in whole]


def done_note(entry: Entry, places: Sequence[int], reads: bytes) -> bytes:
    """Return the note that the visits of an entry are made, at some places; `reads` are all those of an ask."""
    name, every = entry.name.encode(), (*entry.kept, *places)
    visited = np.array(every, dtype="<i8").tobytes()
    letter = AGAIN_KEY if entry.again else ENTRY_KEY
    return b"".join((letter.encode(), entry.place, _TOLD.pack(len(every), len(name)), name, visited, reads))


def _away(of: Shards, homes: Shards) -> NDArray[np.bool_]:
    """Return which facts [n] have a record on another shard than their home."""
    away: NDArray[np.bool_] = ((of != NOWHERE) & (of != homes[:, None])).any(axis=1)
    return away


def _put(rows: NDArray[np.void], facts: Facts) -> None:
    rows["keys"], rows["at"], rows["weights"], rows["marks"] = facts.keys, facts.at, facts.weights, facts.marks
