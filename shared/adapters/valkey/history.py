"""`History` and `ChangingHistory` of `shared.ports.history` in Valkey or Redis (7 or newer), shared by all instances.

A micro-batch is one call of a script, which is atomic, to each shard of history, and a second one to each for the
facts that shards count for each other (`shared.adapters.valkey.visits`). With one shard there is one call. Before
anything rests on reads of other shards, the homes are told of them: by the change that rests on them, or by a third
call.

The life of each Pix is kept for as long as its message may come back (`Keeping.message`) until its rows are stored,
then until `Keeping.life` after it was last asked for or changed, which must be longer than the longest pause between
two deliveries of a message: the ack deadline and the largest back-off, 60 + 600 s on Pub/Sub. A life takes 1.1 kB, so
two hours of 100 transactions/s take 800 MB; with several shards each of its changes takes 0.6 kB more. Records, and
values about verdicts, that nothing touches for `Keeping.record` expire.

Stored rows are told with the next call, and after IDLE_SECONDS without one by a call of their own.

A micro-batch touches many keys. Those of a shard share one hash tag and so live on one primary of a cluster, which
may give them to another one; a single server holds every shard. Servers must not evict (maxmemory-policy
noeviction): one that is full refuses writes, and scoring is degraded.

The contacts of a payer are the fields of one hash, which expires as a whole. Servers keep up to 512 of them as one
list, and more as a table (hash-max-listpack-entries, at its default), which takes more memory. Of contacts that are
forgotten (`shared.features.layout`) four bytes stay; new contacts of the payer make the script look for them.

Records are rounded as in memory. Reads equal memory's to one unit in the last place of float32. A stored value of a
wrong length counts as missing and is reported; its next change replaces it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.adapters.valkey.clients import Client, client
from shared.adapters.valkey.notes import Note, Notes
from shared.adapters.valkey.script import script
from shared.adapters.valkey.sharding import ShardChanges, asked_parts, changed_parts
from shared.adapters.valkey.visiting import Found, Visiting, Whole, together
from shared.adapters.valkey.visits import Entry
from shared.adapters.valkey.wire import (
    Argument,
    AskedBatch,
    AskedPart,
    Keeping,
    answer_arguments,
    change_arguments,
    name_of,
    observations,
    observe_arguments,
    row_name,
    sequence_key,
)
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.history import READ_WIDTH
from shared.features.life import LIFE
from shared.features.places import Place
from shared.features.shards import home_of
from shared.ports.history import LIFE_KEY, UNPLACED, Answer, Changed, Changes, Claim, Observations
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

_VISITS = 6  # of a Pix, at most: payer, payee, device and three persons or keys have a shard each


class ValkeyHistory:
    """History that many processes share; each EndToEndId counts once among them."""

    def __init__(self, store: Client, keeping: Keeping, shards: int = 1, hmac_key: str = "") -> None:
        """`hmac_key` is the fingerprint of the key of all pseudonyms: each key has a history of its own."""
        self.store = store
        self.shards = shards
        self._keeping = keeping
        self._keys = [sequence_key(shard, shards, hmac_key) for shard in range(shards)]
        of_a_pix = 2 if shards == 1 else 4 + 2 * min(shards - 1, _VISITS)  # rows; ask and change; a step of each
        self._notes = [Notes(partial(self._tell, shard), self._follow, of_a_pix) for shard in range(shards)]
        self._lost: Mapping[int, int] = {}
        self._visiting = Visiting(
            shards, keeping, self._values, lambda shard, note: self._notes[shard].add([note]), self._is_lost
        )
        self._damaged = Incident(log, "history damaged", time.monotonic)

    @classmethod
    def connect(
        cls,
        url: str,
        connect_seconds: float,
        call_seconds: float,
        keeping: Keeping,
        shards: int = 1,
        hmac_key: str = "",
    ) -> Self:
        """Return the history at `url` (see `shared.adapters.valkey.clients`); it connects at the first call.

        Another number of shards, or another HMAC key, finds none of the records. Raises Misconfigured.
        """
        return cls(client(url, connect_seconds, call_seconds), keeping, shards, hmac_key)

    def know_lost(self, kept: Mapping[int, int]) -> None:
        """Take note of the losses of shards, by `Place.part` the last number kept: such visits are made again."""
        self._lost = kept

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask, in order and once for each EndToEndId.

        One that has a record on a shard that was emptied is answered as one that is not counted.
        """
        if not events:
            none, no_reads = np.empty(0, dtype=np.int64), np.empty((0, READ_WIDTH), dtype=np.float32)
            return Observations(no_reads, none, [], none.astype(bool), np.empty(0, dtype=LIFE), [], [], [])
        batch = AskedBatch.of(events, claim)
        if self.shards == 1:
            return observations(await self._observe(0, batch.part()), batch)
        parts = asked_parts(batch.part(), self.shards)
        replies = await together(self._observe(part.shard, part.asked) for part in parts)
        found = _in_order([(part.shard, part.rows, part.asked.names) for part in parts], replies)
        whole = await self._visiting.whole(found, without_emptied=True)
        return observations([each.uncounted() for each in whole], batch, [each.visited for each in whole])

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note that rows, by EndToEndId and side, are stored; the store is told with the next call."""
        noted: dict[int, list[Note]] = {}
        pairs = list(rows)
        for (id_, side), home in zip(pairs, self._homes([id_ for id_, _ in pairs]), strict=True):
            noted.setdefault(home, []).append(Note(row_name(id_, side)))
        for home, notes in noted.items():
            self._notes[home].add(notes)

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Keep the first decisions of transactions whose rows could not be stored. Raises Unavailable."""
        parts: dict[int, list[Answer]] = {}
        for each, home in zip(answers, self._homes([each.end_to_end_id for each in answers]), strict=True):
            parts.setdefault(home, []).append(each)
        await together(self._values(home, answer_arguments(some)) for home, some in parts.items())

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        """Keep lives for as long as a message may come back. Raises Unavailable."""
        parts: dict[int, list[str]] = {}
        for id_, home in zip(end_to_end_ids, self._homes(end_to_end_ids), strict=True):
            parts.setdefault(home, []).append(name_of(LIFE_KEY + id_))
        await together(
            self._values(home, ["prolong", self._keeping.message, *names]) for home, names in parts.items()
        )

    async def keep_reads(self) -> None:
        """Wait until the homes of Pix have the reads of this client on other shards so far. Raises Unavailable."""
        await together(notes.tell_awaited() for notes in self._notes)

    async def settle(self) -> None:
        """Tell the store of all stored rows now. Raises Unavailable."""
        while waiting := [notes for notes in self._notes if notes.waiting]:
            await together(notes.tell() for notes in waiting)

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key. Raises Unavailable, also while history is empty."""
        return [each.value for each in await self._find(keys)]

    async def change(self, changes: Changes) -> Changed:
        """Make each change whose stored value has the expected version, in order; return its places."""
        if not changes.keys:
            return Changed.none()
        places = np.full(len(changes.keys), UNPLACED, dtype=np.int64)
        visited: list[tuple[int, ...]] = [()] * len(changes.keys)
        parts = changed_parts(changes, self.shards)
        replies = await together(map(self._change, parts))
        owed: dict[int, Entry] = {}
        for part, (epoch, *lows) in zip(parts, replies, strict=True):
            found = np.array(lows, dtype=np.int64)
            places[part.rows] = np.where(found > 0, int(Place(epoch, 0)) | found, found)
            for i, row in enumerate(part.rows.tolist() if part.entries else ()):
                if part.entries[i] and places[row] > 0:
                    packed = int(places[row]).to_bytes(8, "little")
                    owed[row] = Entry(part.shard, name_of(changes.keys[row]), packed, part.entries[i])
        for row, others in zip(owed, await self._visiting.change(list(owed.values())), strict=True):
            visited[row] = others
        return Changed(places, visited)

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        """Return the places on other shards of changes made before, by key and place. Raises Unavailable."""
        if self.shards == 1:
            return [()] * len(changes)
        found = await self._find([key for key, _ in changes])
        return [each.visited.get(place, ()) for each, (_, place) in zip(found, changes, strict=True)]

    async def close(self) -> None:
        """Tell the store of all stored rows, if it answers, and close the connections."""
        with suppress(Unavailable):
            await self.settle()
        await self.store.close()

    def _is_lost(self, place: int) -> bool:
        known = Place.of(place)
        return known.number > self._lost.get(known.part, known.number)

    async def _find(self, keys: Sequence[str]) -> list[Whole]:
        if not keys:
            return []
        names, homes = [name_of(key) for key in keys], np.array(self._homes([key[1:] for key in keys]))
        rows = [(shard, np.flatnonzero(homes == shard)) for shard in sorted(set(homes.tolist()))]
        parts = [(shard, some, [names[i] for i in some.tolist()]) for shard, some in rows]
        replies = await together(self._values(shard, ["find", *some]) for shard, _, some in parts)
        return await self._visiting.whole(_in_order(parts, replies))

    def _homes(self, ids: Sequence[str]) -> list[int]:
        homes: list[int] = home_of(ids, self.shards).tolist() if self.shards > 1 else [0] * len(ids)
        return homes

    async def _observe(self, shard: int, part: AskedPart) -> list[Any]:
        with self._notes[shard].telling(len(part.names)) as notes:
            return await self._values(shard, observe_arguments(part, self._keeping, notes))

    async def _change(self, part: ShardChanges) -> list[Any]:
        """Make the changes of a shard, which rest on reads that it is told before."""
        with self._notes[part.shard].telling(len(part.rows)) as notes:
            return await self._values(part.shard, change_arguments(part.changes, self._keeping, notes, part.entries))

    async def _tell(self, shard: int, notes: Sequence[Argument]) -> None:
        await self._values(shard, ["stored", self._keeping.life, *notes])

    def _follow(self, shard: int, text: bytes) -> None:
        self._notes[shard].add([Note(text)])

    async def _values(self, shard: int, arguments: Sequence[Argument]) -> list[Any]:
        """Run the script for a shard; report damaged values."""
        reply: list[Any] = await self.store.run(script(), [self._keys[shard]], arguments)
        damaged, values = reply[0], reply[1:]
        if damaged:
            self._damaged.trigger(damaged, reason="stored values have a wrong length; they count as missing")
        else:
            self._damaged.resolve()
        return values


def _in_order(
    parts: Sequence[tuple[int, NDArray[np.int64], Sequence[str]]], replies: Sequence[Sequence[Any]]
) -> list[Found]:
    """Return the values in the replies of shards, which hold those of some rows each, in the order of the rows."""
    found: dict[int, Found] = {}
    for (shard, rows, names), reply in zip(parts, replies, strict=True):
        values, entries = reply[: len(names)], reply[len(names) :] or [()] * len(names)
        for row, name, value, owed in zip(rows.tolist(), names, values, entries, strict=True):
            found[row] = Found.of(shard, name, value, owed)
    return [found[row] for row in range(len(found))]
