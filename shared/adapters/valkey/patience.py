"""Time-outs by the silence of a store, in place of the age of a call.

A store works on one call after the other, so a call waits for those of other batches that are before it, and a clock
that starts when it is sent counts them all: four batches at once would lose history together while the store answers
without a pause. A loop that was busy with another batch, or a process without a processor, reads an answer late that
came in time; its clock would say that none came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Answer = TypeVar("Answer")

LONGEST_CALL = 3
"""Times as long as a store may be silent, after which a call is given up though others are answered: it was lost."""
_TICKS = 10
"""Parts of the time that is waited for. Each takes a turn of the loop, in which answers are read, and a late one
counts as one. Ten make a time-out late by ten turns at most, and by a tenth where the loop is free."""


class StorePatience:
    """Wait for the answers of one store while it gives any."""

    def __init__(self, seconds: float) -> None:
        self._tick = seconds / _TICKS
        self._answers = 0

    async def answered(self, call: Awaitable[Answer]) -> Answer:
        """Return the answer to a call.

        Raises TimeoutError, and cancels the call, after `seconds` in which the store has answered no call at all, or
        LONGEST_CALL times as many without an answer to this one.
        """
        async with asyncio.timeout(None) as limit:
            watch = asyncio.create_task(self._watch(limit))
            try:
                answer = await call
            finally:
                watch.cancel()
        self._answers += 1
        return answer

    async def _watch(self, limit: asyncio.Timeout) -> None:
        seen, silent = self._answers, 0
        for _ in range(LONGEST_CALL * _TICKS):
            await asyncio.sleep(self._tick)
            silent = silent + 1 if self._answers == seen else 0
            seen = self._answers
            if silent == _TICKS:
                break
        limit.reschedule(asyncio.get_running_loop().time())
