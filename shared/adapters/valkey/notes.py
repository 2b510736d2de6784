"""Notes to a shard of history, told with its next call: rows that are stored, and visits that are made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from shared.adapters.valkey.wire import Argument
from shared.errors import Unavailable

IDLE_SECONDS = 0.5
"""Seconds after which notes are told by a call of their own."""
FEW = 64
"""Notes with a micro-batch, at least: more than are added at a time, however small batches are."""
MOST = 100_000
"""Notes that wait while the store is away; the oldest ones above are forgotten, and lives kept for longer."""


class Note(NamedTuple):
    """A note, and the notes `after` it to other shards, by their numbers, which wait until it is told."""

    text: Argument
    after: tuple[tuple[int, bytes], ...] = ()


class Notes:
    """Notes that `tell` has still to tell; `follow` takes those of another shard that come after them."""

    def __init__(
        self,
        tell: Callable[[Sequence[Argument]], Awaitable[None]],
        follow: Callable[[int, bytes], None],
        of_a_pix: int = 2,
    ) -> None:
        """`of_a_pix` is the number of notes about a Pix: with one shard the rows of both sides."""
        self._tell = tell
        self._follow = follow
        self._of_a_pix = of_a_pix
        self._waiting: deque[Note] = deque(maxlen=MOST)
        self._idle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Return whether there is a note to tell."""
        return bool(self._waiting)

    def add(self, notes: Sequence[Note]) -> None:
        """Add notes; after IDLE_SECONDS without a call they are told."""
        self._waiting.extend(notes)
        if self._idle is None and self._waiting:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._start)

    @contextmanager
    def telling(self, batch: int) -> Iterator[list[Argument]]:
        """Give notes to tell with a micro-batch of some size; they wait again if the call fails."""
        notes = self._take(self._of_a_pix * batch + FEW)
        try:
            yield [note.text for note in notes]
        except BaseException:
            self._waiting.extendleft(reversed(notes))
            raise
        for note in notes:
            for shard, text in note.after:
                self._follow(shard, text)

    async def tell(self) -> None:
        """Tell all notes. Raises Unavailable."""
        self._cancel()
        while self._waiting:
            with self.telling(MOST) as notes:
                await self._tell(notes)

    def _take(self, count: int) -> list[Note]:
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _start(self) -> None:
        self._idle = None
        if self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._tell_if_possible())

    async def _tell_if_possible(self) -> None:
        with suppress(Unavailable):
            await self.tell()

    def _cancel(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
