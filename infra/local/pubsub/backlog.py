"""The messages of one subscription that nobody has acknowledged yet."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.local.pubsub.delivery import Delivery, Holder
from infra.local.pubsub.errors import InvalidArgument, NotFound
from infra.local.pubsub.retry import IMMEDIATELY, Backoff
from infra.local.pubsub.timetable import Timetable

LARGEST_BATCH_BYTES = 10_000_000


@dataclass(slots=True)
class Memory:
    """Bound the bytes that all backlogs together may hold."""

    limit: int
    used: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """Say how a subscription retries, when it gives up, and how long it keeps a message."""

    backoff: Backoff = IMMEDIATELY
    max_attempts: int = 0  # 0: no dead-letter policy
    retention: float = 604_800.0  # seconds


class Backlog:
    """Lease messages, take them back when the lease ends, settle them when they are acknowledged.

    `on_exhausted` receives a delivery that used up its attempts and returns whether it took it over.
    """

    def __init__(self, subscription: str, memory: Memory, on_exhausted: Callable[[Delivery], bool]) -> None:
        self.rules = Rules()
        self._subscription = subscription
        self._memory = memory
        self._on_exhausted = on_exhausted
        self._ready: deque[Delivery] = deque()
        self._leased: dict[str, Delivery] = {}
        self._timetable = Timetable(self._due)
        self._waiters: deque[asyncio.Future[None]] = deque()
        # A new token for each process: an old client's ack must not settle a new lease.
        self._prefix = f"{subscription}:"
        self._ack_ids = (f"{self._prefix}{token}-{n}" for token in [secrets.token_hex(4)] for n in itertools.count())
        self._bytes = 0
        self._closed = False

    def add(self, message: Any, size: int) -> None:
        """Take in a PubsubMessage of `size` bytes."""
        self._count(size)
        self._offer(Delivery(message, size))

    async def wait(self) -> None:
        """Wait until a message is ready; waiters are served in turn. Raises NotFound when the subscription goes."""
        while not self._ready and not self._closed:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # this wake-up would be lost with its waiter
                raise
        if self._closed:
            raise NotFound(f"Subscription does not exist: {self._subscription}")

    def lease(self, limit: float, seconds: float | None, holder: Holder | None = None) -> list[Delivery]:
        """Hand out up to `limit` ready messages for so many seconds (None: until settled)."""
        batch: list[Delivery] = []
        size = 0
        oldest = time.time() - self.rules.retention
        while self._ready and len(batch) < limit and size < LARGEST_BATCH_BYTES:
            delivery = self._ready.popleft()
            if delivery.message.publish_time.seconds < oldest:
                self._count(-delivery.size)
                continue
            self._start_lease(delivery, seconds, holder)
            batch.append(delivery)
            size += delivery.size
        return batch

    def acknowledge(self, ack_id: str) -> None:
        """Settle a message for good; an expired lease is ignored, as the message will come again."""
        delivery = self._end_lease(ack_id)
        if delivery:
            self._count(-delivery.size)

    def reject(self, ack_id: str) -> None:
        """Take a message back: retry it after its back-off or give it up."""
        delivery = self._end_lease(ack_id)
        if delivery:
            self._retry(delivery)

    def extend(self, ack_id: str, seconds: float) -> None:
        """Let the lease end so many seconds from now; 0 rejects the message."""
        if not seconds:
            self.reject(ack_id)
        elif delivery := self._leased.get(ack_id):
            self._timetable.enter(delivery, self._timetable.now() + seconds)

    def check_ack_ids(self, ack_ids: list[str]) -> None:
        """Refuse ids that this subscription cannot have issued; raises InvalidArgument."""
        if not ack_ids:
            raise InvalidArgument("No ack ids specified.")
        for ack_id in ack_ids:
            if not ack_id.startswith(self._prefix):
                raise InvalidArgument(f"Invalid ack id (ack_id={ack_id})")

    def close(self) -> None:
        """Drop everything and release who waits."""
        self._closed = True
        self._timetable.close()
        self._ready.clear()
        self._leased.clear()
        self._count(-self._bytes)
        while self._waiters:
            self._wake()

    def _count(self, size: int) -> None:
        self._bytes += size
        self._memory.used += size

    def _start_lease(self, delivery: Delivery, seconds: float | None, holder: Holder | None) -> None:
        delivery.attempts += 1
        delivery.ack_id = next(self._ack_ids)
        self._leased[delivery.ack_id] = delivery
        if seconds is not None:
            self._timetable.enter(delivery, self._timetable.now() + seconds)
        if holder:
            delivery.holder = holder
            holder.take(delivery.size)

    def _end_lease(self, ack_id: str) -> Delivery | None:
        delivery = self._leased.pop(ack_id, None)
        if delivery is None:
            return None
        delivery.ack_id = ""
        self._timetable.leave(delivery)
        if delivery.holder:
            delivery.holder.release(delivery.size)
            delivery.holder = None
        return delivery

    def _due(self, delivery: Delivery) -> None:
        if delivery.ack_id:
            self.reject(delivery.ack_id)
        else:
            self._offer(delivery)

    def _retry(self, delivery: Delivery) -> None:
        exhausted = 0 < self.rules.max_attempts <= delivery.attempts
        if exhausted and self._on_exhausted(delivery):
            self._count(-delivery.size)
            return
        delay = self.rules.backoff.delay(delivery.attempts)
        if delay:
            self._timetable.enter(delivery, self._timetable.now() + delay)
        else:
            self._offer(delivery)

    def _offer(self, delivery: Delivery) -> None:
        self._ready.append(delivery)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
