"""Batches from a source of messages to the intake of a function, with the guarantees of push.

A message is acknowledged once its row is stored, in its table or in quarantine, and otherwise given back. There is no
request and no future for each message: a batch is one unit from the stream to its acknowledgement.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Generic

from shared.errors import Unavailable
from shared.ports.messages import MessageSource, Received
from shared.serving.group_commit import BatchLimits, Item
from shared.serving.intake import Intake

log = logging.getLogger(__name__)

_SHORTEST_REST, _LONGEST_REST = 0.1, 2.0
"""Seconds without a new batch while none of the last one could be stored, as messages use up their attempts."""


class Puller(Generic[Item]):
    """Take batches from a source, at most `limits.in_flight` at a time, until `stop` is called.

    While batches succeed, the next one starts `limits.linger` seconds after the last, or as soon as `limits.enough`
    messages wait: see BatchLimits.
    """

    def __init__(self, intake: Intake[Item], source: MessageSource, limits: BatchLimits) -> None:
        self._intake = intake
        self._source = source
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.in_flight)
        self._batches: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._began = -float("inf")
        self._rest = 0.0

    @property
    def stopping(self) -> bool:
        """Return True once `stop` was called."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Work until `stop` is called. Raises Misconfigured if the source cannot be read."""
        while not self.stopping:
            await self._slots.acquire()
            await self._resting()
            batch = await self._source.receive(self._limits.largest, self._limits.enough, self._patience())
            self._began = perf_counter()
            if batch:
                self._start(batch)
            else:
                self._slots.release()

    async def stop(self, seconds: float) -> None:
        """Receive nothing more, finish the batches in work, and after `seconds` give the rest back."""
        self._stopping.set()
        await self._source.stop()
        if self._batches:
            _, late = await asyncio.wait(self._batches, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._source.close()
        await self._intake.drain(0.0)

    def _patience(self) -> float:
        return max(0.0, self._began + self._limits.linger - perf_counter())

    async def _resting(self) -> None:
        if self._rest:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._rest)

    def _start(self, batch: list[Received]) -> None:
        task = asyncio.create_task(self._work(batch))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _work(self, batch: list[Received]) -> None:
        errors: Sequence[Exception | None] = [Unavailable("shutting down")] * len(batch)
        try:
            errors = await self._intake.take(batch, self._source.waiting)
            self._rested(errors)
        finally:
            self._slots.release()
            await self._source.settle(batch, errors)

    def _rested(self, errors: Sequence[Exception | None]) -> None:
        """Rest longer after each batch of which nothing could be stored."""
        self._rest = min(_LONGEST_REST, max(_SHORTEST_REST, 2 * self._rest)) if all(errors) else 0.0
