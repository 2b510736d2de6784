"""Push delivery: https://cloud.google.com/pubsub/docs/push."""

from __future__ import annotations

import asyncio
import functools

from infra.local.pubsub.backlog import Backlog
from infra.local.pubsub.body import push_body
from infra.local.pubsub.delivery import Delivery
from infra.local.pubsub.endpoint import Endpoint
from infra.local.pubsub.errors import NotFound
from infra.local.pubsub.retry import Backoff

ACKNOWLEDGING = frozenset({102, 200, 201, 202, 204})


class PushWindow:
    """Bound the pushes in flight, so that a slow or failing endpoint is not drowned.

    Start small, grow by one for each success (which doubles per round trip), halve for each failure. Failures at the
    smallest size pause the whole subscription, doubling from 100 ms. Production goes on to 60 s; here an endpoint is
    restarted within seconds and somebody waits for it, so the longest pause is 1 s.
    """

    SMALLEST = 1
    FIRST = 4
    LARGEST = 1000
    PAUSE = Backoff(0.1, 1.0)

    def __init__(self) -> None:
        self.in_flight = 0
        self._size = self.FIRST
        self._pauses = 0
        self._resume_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def room(self) -> int:
        """Return how many more pushes may start now."""
        return 0 if self._loop.time() < self._resume_at else self._size - self.in_flight

    async def wait(self) -> None:
        """Wait until a push may start."""
        while self.room() <= 0:
            await asyncio.sleep(self._resume_at - self._loop.time())
            if self.in_flight >= self._size:
                self._changed.clear()
                await self._changed.wait()

    def succeeded(self) -> None:
        """Count a push that was acknowledged."""
        self._size = min(self.LARGEST, self._size + 1)
        self._pauses = 0
        self._finished()

    def failed(self) -> None:
        """Count a push that was not; failures during a pause belong to the burst that caused it."""
        if self._size == self.SMALLEST and self._loop.time() >= self._resume_at:
            self._pauses += 1
            self._resume_at = self._loop.time() + self.PAUSE.delay(self._pauses)
        self._size = max(self.SMALLEST, self._size // 2)
        self._finished()

    def _finished(self) -> None:
        self.in_flight -= 1
        self._changed.set()


class PushLoop:
    """Push a subscription's messages to its endpoint until closed."""

    def __init__(self, backlog: Backlog, subscription: str, url: str, ack_deadline: float) -> None:
        self._backlog = backlog
        self._subscription = subscription
        self._ack_deadline = ack_deadline
        self._endpoint = Endpoint(url)
        self._window = PushWindow()
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        """Stop pushing; what is in flight goes back to the backlog."""
        self._task.cancel()
        self._endpoint.close()

    async def _run(self) -> None:
        while True:
            await self._window.wait()
            try:
                await self._backlog.wait()
            except NotFound:
                return
            for delivery in self._backlog.lease(self._window.room(), seconds=None):
                self._push(delivery)

    def _push(self, delivery: Delivery) -> None:
        self._window.in_flight += 1
        attempt = delivery.attempts if self._backlog.rules.max_attempts else None
        body = push_body(delivery.message, self._subscription, attempt)
        self._endpoint.post(body, self._ack_deadline, functools.partial(self._settle, delivery.ack_id))

    def _settle(self, ack_id: str, status: int | None) -> None:
        if status in ACKNOWLEDGING:
            self._backlog.acknowledge(ack_id)
            self._window.succeeded()
        else:
            self._backlog.reject(ack_id)
            self._window.failed()
