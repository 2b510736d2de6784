"""A timer queue of messages: the ends of their leases and of their back-offs."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable

from infra.local.pubsub.pending import PendingMessage


class Deadlines:
    """Call `on_due` with each message at its `due` time.

    Cancelling or moving a deadline leaves its entry in the heap, as finding it would take a search. An entry that
    differs from its message's `due` is stale, and skipped.
    """

    def __init__(self, on_due: Callable[[PendingMessage], None]) -> None:
        self._on_due = on_due
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, PendingMessage]] = []
        self._tiebreak = itertools.count()
        self._live = 0
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the loop's time in seconds."""
        return self._loop.time()

    def schedule(self, pending: PendingMessage, due: float) -> None:
        """Make the message due at a time of the loop, in seconds, instead of its earlier one."""
        self.cancel(pending)
        pending.due = due
        self._live += 1
        heapq.heappush(self._heap, (due, next(self._tiebreak), pending))
        if self._heap[0][2] is pending:
            self._arm()

    def cancel(self, pending: PendingMessage) -> None:
        """Cancel the message's deadline, if it has one."""
        if pending.due == math.inf:
            return
        pending.due = math.inf
        self._live -= 1
        if len(self._heap) > 2 * self._live + 1024:
            self._drop_stale()

    def close(self) -> None:
        """Cancel all deadlines."""
        self._heap.clear()
        if self._timer:
            self._timer.cancel()

    def _drop_stale(self) -> None:
        self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
        heapq.heapify(self._heap)

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        self._timer = None
        while self._heap and self._heap[0][0] <= self.now():
            due, _, pending = heapq.heappop(self._heap)
            if pending.due == due:
                self.cancel(pending)
                self._on_due(pending)
        if self._heap:
            self._arm()
