"""Notes to a shard of history, told with its next call: rows that are stored, and visits that are made.

A note of the reads of an ask is `awaited`: until the shard has it, only this client and the visited shards, which may
lose them, know the reads, and nothing may rest on them. It is told before all others.
"""

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
    awaited: bool = False


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
        self._awaited: deque[Note] = deque()
        self._under_way: set[asyncio.Future[bool]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Return whether there is a note to tell."""
        return bool(self._waiting or self._awaited)

    def add(self, notes: Sequence[Note]) -> None:
        """Add notes; after IDLE_SECONDS without a call they are told."""
        for each in notes:
            (self._awaited if each.awaited else self._waiting).append(each)
        if self._idle is None and self.waiting:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._start)

    @contextmanager
    def telling(self, batch: int) -> Iterator[list[Argument]]:
        """Give notes to tell with a micro-batch of some size; they wait again if the call fails."""
        awaited, others = self._take(self._of_a_pix * batch + FEW)
        with self._telling(awaited):
            try:
                yield [note.text for note in (*awaited, *others)]
            except BaseException:
                self._awaited.extendleft(reversed(awaited))
                self._waiting.extendleft(reversed(others))
                raise
        for note in (*awaited, *others):
            for shard, text in note.after:
                self._follow(shard, text)

    async def tell(self) -> None:
        """Tell all notes. Raises Unavailable."""
        self._cancel()
        while self.waiting:
            with self.telling(MOST) as notes:
                await self._tell(notes)

    async def tell_awaited(self) -> None:
        """Wait until the awaited notes so far are told, by this call or by others. Raises Unavailable."""
        by_others = tuple(self._under_way)
        if self._awaited:
            with self.telling(0) as notes:
                await self._tell(notes)
        if by_others:
            await asyncio.wait(by_others)
        if not all(each.result() for each in by_others):
            raise Unavailable("the store of history does not know yet what was read")

    @contextmanager
    def _telling(self, awaited: Sequence[Note]) -> Iterator[None]:
        """Let others wait for the end of a call that tells awaited notes."""
        if not awaited:
            yield
            return
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._under_way.add(told)
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            self._under_way.discard(told)
            told.set_result(succeeded)

    def _take(self, count: int) -> tuple[list[Note], list[Note]]:
        """Return all awaited notes and at most some others, in their order."""
        awaited = list(self._awaited)
        self._awaited.clear()
        return awaited, [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _start(self) -> None:
        self._idle = None
        if self.waiting:
            self._task = asyncio.get_running_loop().create_task(self._tell_if_possible())

    async def _tell_if_possible(self) -> None:
        with suppress(Unavailable):
            await self.tell()

    def _cancel(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
