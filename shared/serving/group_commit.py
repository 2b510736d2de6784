"""Let requests that are in flight together share one piece of work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Hand items to `work` in batches and each caller its own result.

    An idle system starts a batch at once. While `in_flight` batches are on their way, items gather, so batches grow
    with the load and no timer is needed. `work` gets at most `largest` items and returns one result, or one
    exception, for each; if `work` itself raises, every caller of the batch gets that.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        largest: int,
        in_flight: int,
        longest_queue: int = 10_000,
    ) -> None:
        self._work = work
        self._largest = largest
        self._free = in_flight
        self._longest_queue = longest_queue
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def submit(self, item: Item) -> Result:
        """Return the result of `item` once its batch is done.

        Raises what `work` raises, and Unavailable when the queue is full.
        """
        if len(self._queue) >= self._longest_queue:
            raise Unavailable("the queue is full")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.append((item, future))
        if not self._scheduled and self._free:
            self._scheduled = True
            loop.call_soon(self._start)  # after the requests that the loop has already read
        return await future

    def _start(self) -> None:
        self._scheduled = False
        while self._free and self._queue:
            size = min(self._largest, len(self._queue))
            batch = [self._queue.popleft() for _ in range(size)]
            self._free -= 1
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                _settle(future, result)
        except Exception as error:  # noqa: BLE001 (whatever went wrong belongs to the callers, who are waiting)
            for _, future in batch:
                _settle(future, error)
        finally:
            self._free += 1
            self._start()


def _settle(future: asyncio.Future[Result], result: Result | Exception) -> None:
    """Give a caller its result, unless it has gone away."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
