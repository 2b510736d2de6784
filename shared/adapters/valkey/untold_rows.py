"""Rows that are stored, of which a store of history is told with its next call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from shared.errors import Unavailable

IDLE_SECONDS = 0.5
"""Seconds after which rows are told by a call of their own."""
FEW = 64
"""Rows with a micro-batch, at least: more than are added at a time, however small batches are."""
MOST = 100_000
"""Rows that wait while the store is away; the oldest ones above are forgotten, so their lives are kept for longer."""


class UntoldRows:
    """Names of stored rows that `tell` has still to tell."""

    def __init__(self, tell: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._tell = tell
        self._waiting: deque[str] = deque(maxlen=MOST)
        self._idle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, names: Sequence[str]) -> None:
        """Add rows; after IDLE_SECONDS without a call they are told."""
        self._waiting.extend(names)
        if self._idle is None and self._waiting:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._start)

    @contextmanager
    def telling(self, batch: int) -> Iterator[list[str]]:
        """Give rows to tell with a micro-batch of some size; they wait again if the call fails."""
        rows = self._take(2 * batch + FEW)
        try:
            yield rows
        except BaseException:
            self._waiting.extendleft(reversed(rows))
            raise

    async def tell(self) -> None:
        """Tell all rows. Raises Unavailable."""
        self._cancel()
        while self._waiting:
            with self.telling(MOST) as rows:
                await self._tell(rows)

    def _take(self, count: int) -> list[str]:
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
