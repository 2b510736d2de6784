"""Messages that have come from a source, until somebody takes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from shared.ports.messages import Received


class Inbox:
    """A queue that is read in batches; `close` ends it, perhaps with an error."""

    def __init__(self) -> None:
        self._messages: deque[Received] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: Iterable[Received]) -> None:
        """Add messages."""
        self._messages.extend(messages)
        self._changed.set()

    async def take(self, largest: int, enough: int, patience: float) -> list[Received]:
        """Return messages as `shared.ports.messages.MessageSource.receive` does. Raises the error of `close`."""
        await self._wait(1)
        if patience > 0 and len(self) < enough:
            try:
                async with asyncio.timeout(patience):
                    await self._wait(enough)
            except TimeoutError:
                pass
        if self._error:
            raise self._error
        return [self._messages.popleft() for _ in range(min(largest, len(self)))]

    def close(self, error: Exception | None = None) -> list[Received]:
        """End the waits for messages and return those that nobody took."""
        self._closed, self._error = True, error
        left = list(self._messages)
        self._messages.clear()
        self._changed.set()
        return left

    async def _wait(self, count: int) -> None:
        while len(self) < count and not self._closed:
            self._changed.clear()
            await self._changed.wait()
