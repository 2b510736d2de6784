"""Deliveries that wait for a moment: the end of a lease or of a back-off."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable

from infra.local.pubsub.delivery import Delivery


class Timetable:
    """Call back for each delivery once its `due` has come; a delivery whose `due` changed meanwhile is skipped."""

    def __init__(self, on_due: Callable[[Delivery], None]) -> None:
        self._on_due = on_due
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Delivery]] = []
        self._tiebreak = itertools.count()
        self._live = 0
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the loop's time in seconds."""
        return self._loop.time()

    def enter(self, delivery: Delivery, due: float) -> None:
        """Set when the delivery is due, replacing an earlier entry."""
        self.leave(delivery)
        delivery.due = due
        self._live += 1
        heapq.heappush(self._heap, (due, next(self._tiebreak), delivery))
        if self._heap[0][2] is delivery:
            self._arm()

    def leave(self, delivery: Delivery) -> None:
        """Forget the delivery, if it was entered."""
        if delivery.due == math.inf:
            return
        delivery.due = math.inf
        self._live -= 1
        if len(self._heap) > 2 * self._live + 1024:
            self._drop_stale()

    def close(self) -> None:
        """Call back no more."""
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
            due, _, delivery = heapq.heappop(self._heap)
            if delivery.due == due:
                self.leave(delivery)
                self._on_due(delivery)
        if self._heap:
            self._arm()
