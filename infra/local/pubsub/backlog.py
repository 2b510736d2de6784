"""The unacknowledged messages of one subscription."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.local.pubsub.deadlines import Deadlines
from infra.local.pubsub.errors import InvalidArgument, NotFound
from infra.local.pubsub.pending import FlowControl, PendingMessage
from infra.local.pubsub.retry import IMMEDIATELY, Backoff

LARGEST_BATCH_BYTES = 10_000_000


@dataclass(slots=True)
class MemoryBudget:
    """The bytes held by all backlogs together, and their limit."""

    limit: int
    """Bytes; publishing beyond it is refused."""

    used: int = 0
    """Bytes."""


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """The retries and the retention of a subscription."""

    backoff: Backoff = IMMEDIATELY
    """The delay before a rejected message is delivered again."""

    max_attempts: int = 0
    """Attempts before a message goes to the dead-letter topic; 0 without a dead-letter policy."""

    retention: float = 604_800.0
    """Seconds for which an unacknowledged message is kept; production's default is 7 days."""


class Backlog:
    """Lease messages to clients, redeliver them after a lease ends, and drop them once acknowledged.

    `on_exhausted` receives a message that has used up its attempts, and returns True if it was dead-lettered.
    """

    def __init__(
        self, subscription: str, memory: MemoryBudget, on_exhausted: Callable[[PendingMessage], bool]
    ) -> None:
        self.policy = DeliveryPolicy()
        self._subscription = subscription
        self._memory = memory
        self._on_exhausted = on_exhausted
        self._ready: deque[PendingMessage] = deque()
        self._leased: dict[str, PendingMessage] = {}
        self._deadlines = Deadlines(self._due)
        self._waiters: deque[asyncio.Future[None]] = deque()
        # A new token for each process: an old client's ack must not settle a new lease.
        self._prefix = f"{subscription}:"
        self._ack_ids = (f"{self._prefix}{token}-{n}" for token in [secrets.token_hex(4)] for n in itertools.count())
        self._bytes = 0
        self._closed = False

    def add(self, message: Any, size: int) -> None:
        """Add a PubsubMessage of `size` bytes."""
        self._count(size)
        self._offer(PendingMessage(message, size))

    async def wait(self) -> None:
        """Wait until a message is ready. Waiters are served in turn. Raises NotFound when the backlog is closed."""
        while not self._ready and not self._closed:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # pass the wake-up on: it would be lost with its waiter
                raise
        if self._closed:
            raise NotFound(f"Subscription does not exist: {self._subscription}")

    def lease(self, limit: float, seconds: float | None, flow: FlowControl | None = None) -> list[PendingMessage]:
        """Lease up to `limit` ready messages for `seconds` (None: until settled); drop those past their retention."""
        batch: list[PendingMessage] = []
        size = 0
        oldest = time.time() - self.policy.retention
        while self._ready and len(batch) < limit and size < LARGEST_BATCH_BYTES:
            pending = self._ready.popleft()
            if pending.message.publish_time.seconds < oldest:
                self._count(-pending.size)
                continue
            self._start_lease(pending, seconds, flow)
            batch.append(pending)
            size += pending.size
        return batch

    def acknowledge(self, ack_id: str) -> None:
        """Drop a message. An expired lease is ignored: its message is delivered again."""
        pending = self._end_lease(ack_id)
        if pending:
            self._count(-pending.size)

    def reject(self, ack_id: str) -> None:
        """End a lease early: redeliver the message after its back-off, or dead-letter it."""
        pending = self._end_lease(ack_id)
        if pending:
            self._retry(pending)

    def extend(self, ack_id: str, seconds: float) -> None:
        """Move the end of a lease to `seconds` from now; 0 rejects the message."""
        if not seconds:
            self.reject(ack_id)
        elif pending := self._leased.get(ack_id):
            self._deadlines.schedule(pending, self._deadlines.now() + seconds)

    def check_ack_ids(self, ack_ids: list[str]) -> None:
        """Refuse ids that this subscription cannot have issued; raises InvalidArgument."""
        if not ack_ids:
            raise InvalidArgument("No ack ids specified.")
        for ack_id in ack_ids:
            if not ack_id.startswith(self._prefix):
                raise InvalidArgument(f"Invalid ack id (ack_id={ack_id})")

    def close(self) -> None:
        """Drop all messages and release all waiters."""
        self._closed = True
        self._deadlines.close()
        self._ready.clear()
        self._leased.clear()
        self._count(-self._bytes)
        while self._waiters:
            self._wake()

    def _count(self, size: int) -> None:
        self._bytes += size
        self._memory.used += size

    def _start_lease(self, pending: PendingMessage, seconds: float | None, flow: FlowControl | None) -> None:
        pending.attempts += 1
        pending.ack_id = next(self._ack_ids)
        self._leased[pending.ack_id] = pending
        if seconds is not None:
            self._deadlines.schedule(pending, self._deadlines.now() + seconds)
        if flow:
            pending.flow = flow
            flow.take(pending.size)

    def _end_lease(self, ack_id: str) -> PendingMessage | None:
        pending = self._leased.pop(ack_id, None)
        if pending is None:
            return None
        pending.ack_id = ""
        self._deadlines.cancel(pending)
        if pending.flow:
            pending.flow.release(pending.size)
            pending.flow = None
        return pending

    def _due(self, pending: PendingMessage) -> None:
        if pending.ack_id:
            self.reject(pending.ack_id)
        else:
            self._offer(pending)

    def _retry(self, pending: PendingMessage) -> None:
        exhausted = 0 < self.policy.max_attempts <= pending.attempts
        if exhausted and self._on_exhausted(pending):
            self._count(-pending.size)
            return
        delay = self.policy.backoff.delay(pending.attempts)
        if delay:
            self._deadlines.schedule(pending, self._deadlines.now() + delay)
        else:
            self._offer(pending)

    def _offer(self, pending: PendingMessage) -> None:
        self._ready.append(pending)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
