"""Make the visits that stored values still owe to other shards, and note that they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from shared.adapters.valkey.clients import Emptied
from shared.adapters.valkey.notes import Note
from shared.adapters.valkey.visits import (
    Entry,
    Made,
    VisitCall,
    done_at,
    done_note,
    is_done,
    joined_reads,
    lost_part,
    made,
    visit_calls,
)
from shared.adapters.valkey.wire import Argument, Keeping
from shared.features.layout import READ_WIDTH
from shared.features.life import FLAGS_AT, LIFE, PLACE_AT, READS_AT, RECOUNTED, UNCOUNTED

Result = TypeVar("Result")
_NOWHERE, _NO_READS = UNCOUNTED.to_bytes(8, "little", signed=True), np.full(READ_WIDTH, np.nan, "<f4").tobytes()
_PLACE, _READS, _TAIL = slice(PLACE_AT, PLACE_AT + 8), slice(READS_AT, LIFE.itemsize), slice(LIFE.itemsize, None)


class Found(NamedTuple):
    """A stored value with its home, its name, and its entries by the packed places of their changes."""

    home: int
    name: str
    value: bytes | None
    entries: Mapping[bytes, bytes]

    @classmethod
    def of(cls, home: int, name: str, value: bytes | None, entries: Sequence[bytes] = ()) -> Found:
        """Return the value of an answer, in which places and texts of entries alternate."""
        return cls(home, name, value, dict(zip(entries[::2], entries[1::2], strict=True)))

    def is_life_at(self, place: bytes) -> bool:
        """Return whether the value is a life with that packed place."""
        return self.value is not None and len(self.value) >= LIFE.itemsize and self.value[_PLACE] == place


class Whole(NamedTuple):
    """A value without debts: a life has all its reads; and the places of its visits by those of its changes.

    A value that still owes visits to an emptied shard is not `paid`.
    """

    value: bytes | None
    visited: Mapping[int, tuple[int, ...]]
    paid: bool = True

    def uncounted(self) -> bytes:
        """Return a life as that of a Pix that is neither read nor counted, if it owes visits; else the life."""
        life = self.value or b""
        if self.paid or len(life) < LIFE.itemsize:
            return life
        return life[:PLACE_AT] + _NOWHERE + life[_PLACE.stop : READS_AT] + _NO_READS + life[_TAIL]


@dataclass(frozen=True, slots=True)
class Visiting:
    """The visits of a history of several shards."""

    shards: int
    keeping: Keeping
    call: Callable[[int, Sequence[Argument]], Awaitable[list[Any]]]
    """Run the script for a shard."""
    note: Callable[[int, Note], None]
    """Take a note to a shard."""
    lost: Callable[[int], bool]
    """Return whether a shard is known to have lost a place."""

    async def whole(self, found: Sequence[Found], without_emptied: bool = False) -> list[Whole]:
        """Return values without debts, once their visits are made. Raises Unavailable.

        `without_emptied` leaves the visits of an emptied shard to be made later.
        """
        owed: dict[tuple[str, bytes], Entry] = {}
        for each in found:
            for place, text in each.entries.items():
                entry = Entry(each.home, each.name, place, text)
                owing = lost_part(entry, self.lost) if is_done(text) else entry
                if owing:
                    owed.setdefault((each.name, place), owing)
        made_now = zip(owed, await self.make(list(owed.values()), without_emptied), strict=True)
        visits = {key: each for key, each in made_now if each is not None}
        left = owed.keys() - visits.keys()
        owed = {key: entry for key, entry in owed.items() if key in visits}
        reads = _joined(found, owed, visits)
        self._tell(owed, visits, {found[i].name: each for i, each in reads.items()})
        every = {key: (*owed[key].kept, *each.places) for key, each in visits.items()}
        recounted = {key for key, entry in owed.items() if entry.is_recount}
        if recounted:
            found = [_flagged(each, recounted) for each in found]
        return [_whole(each, every, reads.get(i), left) for i, each in enumerate(found)]

    async def make(self, entries: Sequence[Entry], without_emptied: bool = False) -> list[Made | None]:
        """Make the visits of entries; None of one that an emptied shard owes. Raises Unavailable."""
        if not entries:
            return []
        calls = list(visit_calls(entries, self.shards, self.keeping))
        answers = await together(self._visit(each, without_emptied) for each in calls)
        unmade = {i for call, answer in zip(calls, answers, strict=True) if answer is None for i in call.entries}
        known = [(call, answer) for call, answer in zip(calls, answers, strict=True) if answer is not None]
        found = made(len(entries), [call for call, _ in known], [answer for _, answer in known])
        return [None if i in unmade else each for i, each in enumerate(found)]

    async def _visit(self, call: VisitCall, without_emptied: bool) -> list[Any] | None:
        """Return the answers of a shard, None if it is empty."""
        try:
            return await self.call(call.shard, call.arguments)
        except Emptied:
            if not without_emptied:
                raise
            return None

    async def change(self, entries: Sequence[Entry]) -> list[tuple[int, ...]]:
        """Make the visits of changes, note them, and return the places of each. Raises Unavailable."""
        visits = [each for each in await self.make(entries) if each is not None]
        keyed = {(each.name, each.place): each for each in entries}
        self._tell(keyed, dict(zip(keyed, visits, strict=True)), {})
        return [tuple(each.places) for each in visits]

    def _tell(
        self,
        owed: Mapping[tuple[str, bytes], Entry],
        visits: Mapping[tuple[str, bytes], Made],
        reads: Mapping[str, bytes],
    ) -> None:
        """Note that the visits of entries are made, and then that their steps are needed no longer."""
        for key, entry in owed.items():
            whole = reads.get(entry.name, b"") if entry.is_first_ask else b""
            after = tuple((shard, entry.step) for shard in visits[key].shards)
            self.note(
                entry.home, Note(done_note(entry, visits[key].places, whole), after, awaited=entry.is_first_ask)
            )


async def together(calls: Iterable[Awaitable[Result]]) -> list[Result]:
    """Return the results of calls that run at the same time, once all have ended. Raises as the first that fails."""
    started: list[Coroutine[Any, Any, Result]] = [_awaited(each) for each in calls]
    if len(started) == 1:
        return [await started[0]]
    results = await asyncio.gather(*started, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return [each for each in results if not isinstance(each, BaseException)]


async def _awaited(call: Awaitable[Result]) -> Result:
    return await call


def _joined(
    found: Sequence[Found], owed: Mapping[tuple[str, bytes], Entry], visits: Mapping[tuple[str, bytes], Made]
) -> dict[int, bytes]:
    """Return the reads of lives whose asks were owed, by index."""
    rows, parts = [], []
    for i, each in enumerate(found):
        for place in each.entries:
            key = each.name, place
            if key in owed and owed[key].is_first_ask and each.is_life_at(place):
                rows.append(i)
                parts.append(visits[key].reads)
    if not rows:
        return {}
    home = [value[_READS] for i in rows if (value := found[i].value)]
    return dict(zip(rows, joined_reads(home, parts), strict=True))


def _flagged(found: Found, recounted: Collection[tuple[str, bytes]]) -> Found:
    """Return a value whose life tells that its ask was counted again."""
    value, places = found.value, [place for place in found.entries if (found.name, place) in recounted]
    if value is None or not any(map(found.is_life_at, places)):
        return found
    flags = bytes([value[FLAGS_AT] | RECOUNTED])
    return found._replace(value=value[:FLAGS_AT] + flags + value[FLAGS_AT + 1 :])


def _whole(
    found: Found,
    visits: Mapping[tuple[str, bytes], tuple[int, ...]],
    reads: bytes | None,
    left: Collection[tuple[str, bytes]],
) -> Whole:
    visited = {
        int.from_bytes(place, "little"): visits[key] if (key := (found.name, place)) in visits else done_at(text)
        for place, text in found.entries.items()
        if (found.name, place) not in left
    }
    paid = not any((found.name, place) in left for place in found.entries)
    if reads is None or found.value is None:
        return Whole(found.value, visited, paid)
    return Whole(found.value[:READS_AT] + reads + found.value[_TAIL], visited, paid)
