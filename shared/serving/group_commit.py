"""Let requests that are in flight together share one piece of work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Generic, NamedTuple, TypeVar

from shared.errors import Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")


_LOOK_SECONDS = 0.001
_PAUSE = 1.4
"""From one batch to the next, by what they take: the rest of the time is for requests to come in."""
_NEW = 0.1
"""How much the last batch counts in what batches take: one that was held up must not hold the next ones up too."""


class BatchLimits(NamedTuple):
    """How many items make a batch, how many batches are in flight, and how many items wait for how many seconds.

    After the beginning of a batch the next one waits for a little longer than batches take lately, at most `linger`
    seconds, or until `enough` items have gathered. A batch has a price of its own, so small ones that follow each
    other closely make everybody late, and the more a processor has to do, the larger they have to be.
    """

    largest: int
    in_flight: int
    longest_queue: int = 10_000
    longest_wait: float = 10.0
    linger: float = 0.0
    enough: int = 1


class CompletedBatch(NamedTuple):
    """A batch that is through: how many waited on when it began, and how long each of its items took (seconds)."""

    waiting: int
    seconds: list[float]


class GroupCommit(Generic[Item, Result]):
    """Hand items to `work` in batches and each caller its own result.

    An idle system starts a batch at once; then items gather, so batches grow with the load. `work` gets at most
    `limits.largest` items and returns one result, or one exception, for each; if `work` itself raises, every caller
    of the batch gets that. `done` is told of each batch.

    What comes is refused while `longest_queue` items wait, or while the oldest has waited for `longest_wait` seconds:
    a short queue that does not move is as full as a long one. That oldest is refused too once its turn comes, as
    whoever sent it will soon send it again.
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

        Raises what `work` raises, and Overloaded when the queue is full.
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
        """Return once nothing waits and nothing is on its way."""
        while self._queue or self._batches:
            await (asyncio.wait(list(self._batches)) if self._batches else asyncio.sleep(_LOOK_SECONDS))

    def abandon(self, error: Exception) -> None:
        """Give `error` to everybody who still waits; batches in flight run on, but nobody is told."""
        for batch in (self._queue, *self._batches.values()):
            for _, future, _ in batch:
                _settle(future, error)
        self._queue.clear()

    def _start(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        while self._free and self._queue:
            if (early := self._early()) > 0:
                self._due = asyncio.get_running_loop().call_later(early, self._start)
                return
            self._began = perf_counter()
            if batch := self._next():
                self._free -= 1
                task = asyncio.create_task(self._run(batch, len(self._queue), self._began))
                self._batches[task] = batch
                task.add_done_callback(self._batches.pop)

    def _early(self) -> float:
        """Return for how many seconds the next batch had better wait."""
        if len(self._queue) >= self._limits.enough:
            return 0.0
        return self._began + min(self._limits.linger, _PAUSE * self._took) - perf_counter()

    def _next(self) -> list[_Waiting[Item, Result]]:
        """Return the items whose turn it is; those that have waited for too long are refused."""
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
        except Exception as error:  # noqa: BLE001 (whatever went wrong belongs to the callers, who are waiting)
            for _, future, _ in batch:
                _settle(future, error)
        finally:
            self._free += 1
            self._took += (perf_counter() - began - self._took) * (_NEW if self._took else 1.0)
            self._start()
            now = perf_counter()  # the loop's clock counts milliseconds, and stands still while a batch is computed
            self._done(CompletedBatch(waiting, [now - at for _, _, at in batch]))


_Waiting = tuple[Item, asyncio.Future[Result], float]
"""An item, where its caller waits, and since when (`perf_counter`)."""


def _settle(future: asyncio.Future[Result], result: Result | Exception) -> None:
    """Give a caller its result, unless it has gone away."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
