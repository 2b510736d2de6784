"""Push delivery: https://cloud.google.com/pubsub/docs/push."""

from __future__ import annotations

import asyncio
import functools

from infra.local.pubsub.backlog import Backlog
from infra.local.pubsub.body import push_body
from infra.local.pubsub.errors import NotFound
from infra.local.pubsub.pending import PendingMessage
from infra.local.pubsub.push_client import PushClient
from infra.local.pubsub.retry import Backoff

ACKNOWLEDGING = frozenset({102, 200, 201, 202, 204})


class PushWindow:
    """A limit of the pushes in flight, so that a slow or failing endpoint is not overloaded.

    It starts small, grows by one with each success, which doubles it in a round trip, and halves with each failure.
    Failures at the smallest size pause the subscription, at first for 100 ms, then twice as long each time. The
    longest pause of production is 60 s; here it is 1 s, as an endpoint restarts within seconds and its user waits.
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
        """Return the number of pushes that may start now."""
        return 0 if self._loop.time() < self._resume_at else self._size - self.in_flight

    async def wait(self) -> None:
        """Wait until a push may start."""
        while self.room() <= 0:
            await asyncio.sleep(self._resume_at - self._loop.time())
            if self.in_flight >= self._size:
                self._changed.clear()
                await self._changed.wait()

    def succeeded(self) -> None:
        """Count an acknowledged push."""
        self._size = min(self.LARGEST, self._size + 1)
        self._pauses = 0
        self._finished()

    def failed(self) -> None:
        """Count a failed push. Failures during a pause are of the burst that caused it, and do not prolong it."""
        if self._size == self.SMALLEST and self._loop.time() >= self._resume_at:
            self._pauses += 1
            self._resume_at = self._loop.time() + self.PAUSE.delay(self._pauses)
        self._size = max(self.SMALLEST, self._size // 2)
        self._finished()

    def _finished(self) -> None:
        self.in_flight -= 1
        self._changed.set()


class PushLoop:
    """A task that pushes a subscription's messages to its endpoint until closed."""

    def __init__(self, backlog: Backlog, subscription: str, url: str, ack_deadline: float) -> None:
        self._backlog = backlog
        self._subscription = subscription
        self._ack_deadline = ack_deadline
        self._client = PushClient(url)
        self._window = PushWindow()
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        """Stop pushing; messages in flight return to the backlog."""
        self._task.cancel()
        self._client.close()

    async def _run(self) -> None:
        while True:
            await self._window.wait()
            try:
                await self._backlog.wait()
            except NotFound:
                return
            for pending in self._backlog.lease(self._window.room(), seconds=None):
                self._push(pending)

    def _push(self, pending: PendingMessage) -> None:
        self._window.in_flight += 1
        attempt = pending.attempts if self._backlog.policy.max_attempts else None
        body = push_body(pending.message, self._subscription, attempt)
        self._client.post(body, self._ack_deadline, functools.partial(self._settle, pending.ack_id))

    def _settle(self, ack_id: str, status: int | None) -> None:
        if status in ACKNOWLEDGING:
            self._backlog.acknowledge(ack_id)
            self._window.succeeded()
        else:
            self._backlog.reject(ack_id)
            self._window.failed()
