"""A value that many ask for and that is dear to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A value that is read at most once in `seconds`, by one read for all who ask; `now` is a clock in seconds.

    The age counts from the start of the read. Whoever waits for a read that fails gets its error, and the next one
    reads again.
    """

    def __init__(self, read: Callable[[], Awaitable[Value]], seconds: float, now: Callable[[], float]) -> None:
        self._read, self._seconds, self._now = read, seconds, now
        self._reading: asyncio.Future[Value] | None = None
        self._since = 0.0

    async def get(self) -> Value:
        """Return the value. Raises as `read`."""
        if self._reading is None or self._is_old(self._reading):
            self._since = self._now()
            self._reading = asyncio.ensure_future(self._read())
            self._reading.add_done_callback(_seen)
        return await asyncio.shield(self._reading)  # one who leaves does not end the read of the others

    def forget(self) -> None:
        """Read again for whoever asks next."""
        self._reading = None

    def _is_old(self, reading: asyncio.Future[Value]) -> bool:
        if not reading.done():
            return False
        failed = reading.cancelled() or reading.exception() is not None
        return failed or not 0 <= self._now() - self._since < self._seconds


def _seen(reading: asyncio.Future[Value]) -> None:
    """Look at an error that nobody waits for any more, which asyncio would report."""
    if not reading.cancelled():
        reading.exception()
