"""Make the visits that stored values still owe to other shards, and note that they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from shared.adapters.valkey.notes import Note
from shared.adapters.valkey.visits import (
    Entry,
    Made,
    done_at,
    done_note,
    is_done,
    joined_reads,
    lost_part,
    made,
    visit_calls,
)
from shared.adapters.valkey.wire import Argument, Keeping
from shared.features.life import LIFE, PLACE_AT, READS_AT

Result = TypeVar("Result")
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
    """A value without debts: a life has all its reads; and the places of its visits by those of its changes."""

    value: bytes | None
    visited: Mapping[int, tuple[int, ...]]


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

    async def whole(self, found: Sequence[Found]) -> list[Whole]:
        """Return values without debts, once their visits are made. Raises Unavailable."""
        owed: dict[tuple[str, bytes], Entry] = {}
        for each in found:
            for place, text in each.entries.items():
                entry = Entry(each.home, each.name, place, text)
                owing = lost_part(entry, self.lost) if is_done(text) else entry
                if owing:
                    owed.setdefault((each.name, place), owing)
        visits = dict(zip(owed, await self.make(list(owed.values())), strict=True))
        reads = _joined(found, owed, visits)
        self._tell(owed, visits, {found[i].name: each for i, each in reads.items()})
        every = {key: (*owed[key].kept, *each.places) for key, each in visits.items()}
        return [_whole(each, every, reads.get(i)) for i, each in enumerate(found)]

    async def make(self, entries: Sequence[Entry]) -> list[Made]:
        """Make the visits of entries. Raises Unavailable."""
        if not entries:
            return []
        calls = list(visit_calls(entries, self.shards, self.keeping))
        return made(len(entries), calls, await together(self.call(each.shard, each.arguments) for each in calls))

    async def change(self, entries: Sequence[Entry]) -> list[tuple[int, ...]]:
        """Make the visits of changes, note them, and return the places of each. Raises Unavailable."""
        visits = await self.make(entries)
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
            whole = reads.get(entry.name, b"") if entry.is_ask else b""
            after = tuple((shard, entry.step) for shard in visits[key].shards)
            self.note(entry.home, Note(done_note(entry, visits[key].places, whole), after))


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
            if key in owed and owed[key].is_ask and each.is_life_at(place):
                rows.append(i)
                parts.append(visits[key].reads)
    if not rows:
        return {}
    home = [value[_READS] for i in rows if (value := found[i].value)]
    return dict(zip(rows, joined_reads(home, parts), strict=True))


def _whole(found: Found, visits: Mapping[tuple[str, bytes], tuple[int, ...]], reads: bytes | None) -> Whole:
    visited = {
        int.from_bytes(place, "little"): visits[key] if (key := (found.name, place)) in visits else done_at(text)
        for place, text in found.entries.items()
    }
    if reads is None or found.value is None:
        return Whole(found.value, visited)
    return Whole(found.value[:READS_AT] + reads + found.value[_TAIL], visited)
