"""Group commit: requests that are in flight together share one unit of work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Generic, NamedTuple, TypeVar

from shared.errors import Overloaded
from shared.telemetry.batches import CompletedBatch

Item = TypeVar("Item")
Result = TypeVar("Result")


_POLL_SECONDS = 0.001
_SPACING = 1.0
"""Time between the starts of two batches, in mean batch durations, which include the wait for rows to be stored.

Less lowers the latency and raises the processor time of a message, as batches become smaller.
"""
_SMOOTHING = 0.1
"""Weight of the last batch in the mean duration; small, so that one slow batch does not delay the next ones."""


class BatchLimits(NamedTuple):
    """Limits of batches and of the queue before them.

    The next batch starts one mean batch duration after the start of the last, at most `linger` seconds after it, or
    as soon as `enough` items wait. Each batch has a fixed cost, so small batches in close succession delay every
    item, and a busy processor needs larger ones.
    """

    largest: int
    """Items in a batch, at most."""
    in_flight: int
    """Batches worked on at the same time, at most."""
    longest_queue: int = 10_000
    """Items that may wait; one more is refused. The default bounds memory only."""
    longest_wait: float = 10.0
    """Seconds that an item may wait before it is refused; a sixth of Pub/Sub's ack deadline of 60 s."""
    linger: float = 0.0
    """Seconds between the starts of two batches, at most; the default starts a batch as soon as one is free."""
    enough: int = 1
    """Waiting items that start a batch before `linger` has passed; the default starts it with the first item."""


class GroupCommit(Generic[Item, Result]):
    """Hand items to `work` in batches and each caller its own result.

    An idle system starts a batch at once; then items gather, so batches grow with the load. `work` gets at most
    `limits.largest` items and returns one result, or one exception, for each; if `work` itself raises, every caller
    of the batch gets that exception. `done` is called after each batch.

    A new item is refused while `longest_queue` items wait, or while the oldest has waited for `longest_wait` seconds:
    a short queue that does not move is as full as a long one. The oldest item is refused too once its turn comes, as
    its sender is about to send it again.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        limits: BatchLimits,
        done: Callable[[CompletedBatch], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._limits = limits
        self._free = limits.in_flight
        self._done = done
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._batches: dict[asyncio.Task[None], list[_Waiting[Item, Result]]] = {}
        self._began, self._took = -float("inf"), 0.0
        self._due: asyncio.Handle | None = None

    async def submit(self, item: Item) -> Result:
        """Return the result of `item` once its batch is done.

        Raises the exception of the item or of its batch, and Overloaded if the queue is full.
        """
        loop, now = asyncio.get_running_loop(), perf_counter()
        queue, limits = self._queue, self._limits
        if queue and (len(queue) >= limits.longest_queue or now - queue[0][2] > limits.longest_wait):
            raise Overloaded("the queue is full")
        future: asyncio.Future[Result] = loop.create_future()
        queue.append((item, future, now))
        if self._due is None and self._free:
            self._due = loop.call_soon(self._start)  # after the requests that the loop has already read
        elif len(queue) == limits.enough and self._free:
            self._start()
        return await future

    async def idle(self) -> None:
        """Return once no item waits and no batch is in flight."""
        while self._queue or self._batches:
            await (asyncio.wait(list(self._batches)) if self._batches else asyncio.sleep(_POLL_SECONDS))

    def abandon(self, error: Exception) -> None:
        """Give `error` to every caller that still waits; batches in flight finish, but their results are dropped."""
        for batch in (self._queue, *self._batches.values()):
            for _, future, _ in batch:
                _settle(future, error)
        self._queue.clear()

    def _start(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        while self._free and self._queue:
            if (delay := self._delay()) > 0:
                self._due = asyncio.get_running_loop().call_later(delay, self._start)
                return
            self._began = perf_counter()
            if batch := self._next():
                self._free -= 1
                task = asyncio.create_task(self._run(batch, len(self._queue), self._began))
                self._batches[task] = batch
                task.add_done_callback(self._batches.pop)

    def _delay(self) -> float:
        """Return the delay before the next batch, in seconds."""
        if len(self._queue) >= self._limits.enough:
            return 0.0
        return self._began + min(self._limits.linger, _SPACING * self._took) - perf_counter()

    def _next(self) -> list[_Waiting[Item, Result]]:
        """Return the items of the next batch; refuse those that have waited for too long."""
        queue = self._queue
        latest = perf_counter() - self._limits.longest_wait
        while queue and queue[0][2] < latest:
            _settle(queue.popleft()[1], Overloaded("it waited for too long"))
        return [queue.popleft() for _ in range(min(self._limits.largest, len(queue)))]

    async def _run(self, batch: list[_Waiting[Item, Result]], waiting: int, began: float) -> None:
        try:
            results = await self._work([item for item, _, _ in batch])
            for (_, future, _), result in zip(batch, results, strict=True):
                _settle(future, result)
        except Exception as error:  # noqa: BLE001 (every waiting caller gets the error, whatever it is)
            for _, future, _ in batch:
                _settle(future, error)
        finally:
            self._free += 1
            self._took += (perf_counter() - began - self._took) * (_SMOOTHING if self._took else 1.0)
            self._start()
            now = perf_counter()  # the loop's clock counts milliseconds, and stands still while a batch is computed
            self._done(CompletedBatch(waiting, [now - at for _, _, at in batch]))


_Waiting = tuple[Item, asyncio.Future[Result], float]
"""An item, the future of its caller, and the time of its submission (`perf_counter`)."""


def _settle(future: asyncio.Future[Result], result: Result | Exception) -> None:
    """Give a caller its result, unless it has been cancelled."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
