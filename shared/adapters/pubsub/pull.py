"""Messages of a Pub/Sub subscription by StreamingPull, on the event loop.

Google's SubscriberClient hands each message to a thread, in a wrapper, and takes nine times the processor of this:
see `tests.benchmarks.pull.client`. This is the same protocol with one table of leases and no wrapper.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import grpc

from shared.adapters.inbox import Inbox
from shared.adapters.pubsub.wire import (
    AcknowledgeRequest,
    ModifyAckDeadlineRequest,
    StreamingPullRequest,
    SubscriberService,
)
from shared.contract.envelope import PubsubMessage
from shared.errors import Misconfigured
from shared.ports.messages import Received
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
_EXTEND_SECONDS = 15.0
"""Seconds between two extensions of the leases of messages in work, and between two signs of life on the stream."""
_LONGEST_LEASE_SECONDS = 600.0
"""A message is let go after this time, as its batch hangs."""
_AT_ONCE = 1_000
"""Ids in a request, which may have 512 KiB."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 10.0
_CALL_SECONDS = 10.0
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FINAL = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)
"""Codes that another try does not change."""


class Outstanding(NamedTuple):
    """Limits of the messages that the server sends ahead of their acknowledgements."""

    messages: int = 5_000
    bytes: int = 16 * 2**20


class PubsubSource:
    """`shared.ports.messages.MessageSource` over StreamingPull; needs a running event loop.

    A stream that breaks is opened again. Leases of messages in hand are extended until they are settled, for at most
    ten minutes. The back-off of a message that is given back is that of the subscription's retry policy.
    """

    def __init__(self, service: SubscriberService, subscription: str, outstanding: Outstanding) -> None:
        self._service = service
        self._subscription = subscription
        self._outstanding = outstanding
        self._inbox = Inbox()
        self._held: dict[str, float] = {}
        self._client_id = str(uuid.uuid4())
        self._broken = Incident(log, "Pub/Sub stream broken", time.monotonic)
        self._unsettled = Incident(log, "not settled", time.monotonic)
        self._tasks = [asyncio.create_task(self._pull()), asyncio.create_task(self._keep())]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    @property
    def waiting(self) -> int:
        """Return the number of messages in the inbox."""
        return len(self._inbox)

    async def receive(self, largest: int, enough: int, patience: float) -> list[Received]:
        """Return the next messages. Raises Misconfigured for a subscription that cannot be pulled from."""
        return await self._inbox.take(largest, enough, patience)

    async def settle(self, received: Sequence[Received], errors: Sequence[Exception | None]) -> None:
        """Acknowledge the messages without an error, and nack the others."""
        pairs = list(zip(received, errors, strict=True))
        await self._acknowledge([each.receipt for each, error in pairs if error is None])
        await self._nack([each.receipt for each, error in pairs if error is not None])

    async def stop(self) -> None:
        """End the stream and nack the messages in the inbox."""
        pulling, _ = self._tasks
        await _cancelled(pulling)
        await self._nack([each.receipt for each in self._inbox.close()])

    async def close(self) -> None:
        """End the extension of leases and the channel."""
        for task in self._tasks:
            await _cancelled(task)
        await self._service.close()

    async def _pull(self) -> None:
        """Read the stream, and open it again when it ends, as it does every half hour or so."""
        wait = _SHORTEST_WAIT
        while True:
            try:
                async for response in self._service.streaming_pull(self._requests()):
                    wait = _SHORTEST_WAIT
                    self._receive(response.received_messages)
            except grpc.RpcError as error:
                if error.code() in _FINAL:
                    raise Misconfigured(f"{self._subscription}: {error.code().name}") from None
                self._broken.trigger(reason=error.code().name)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the source with the error of a task: without it, the worker would wait for messages forever."""
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._inbox.close(error)

    async def _requests(self) -> Any:
        yield StreamingPullRequest(
            subscription=self._subscription,
            stream_ack_deadline_seconds=LEASE_SECONDS,
            client_id=self._client_id,
            max_outstanding_messages=self._outstanding.messages,
            max_outstanding_bytes=self._outstanding.bytes,
        )
        while True:  # the server closes a stream on which it hears nothing
            await asyncio.sleep(_EXTEND_SECONDS)
            yield StreamingPullRequest()

    def _receive(self, messages: Iterable[Any]) -> None:
        now = time.perf_counter()
        found = [Received(_message(each), each.ack_id, now) for each in messages]
        self._held.update((each.receipt, now) for each in found)
        self._inbox.add(found)
        self._broken.resolve()

    async def _keep(self) -> None:
        """Extend the leases of the messages in hand."""
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            now = time.perf_counter()
            self._let_go(now - _LONGEST_LEASE_SECONDS)
            old = [ack_id for ack_id, since in self._held.items() if now - since >= _EXTEND_SECONDS]
            await self._modify(old, LEASE_SECONDS)

    def _let_go(self, before: float) -> None:
        for ack_id in [ack_id for ack_id, since in self._held.items() if since < before]:
            del self._held[ack_id]

    async def _acknowledge(self, ack_ids: list[str]) -> None:
        self._forget(ack_ids)

        def request(some: list[str]) -> Awaitable[object]:
            made = AcknowledgeRequest(subscription=self._subscription, ack_ids=some)
            return self._service.acknowledge(made, timeout=_CALL_SECONDS)  # type: ignore[no-any-return]  # grpc is untyped

        await self._send(ack_ids, request)

    async def _nack(self, ack_ids: list[str]) -> None:
        self._forget(ack_ids)
        await self._modify(ack_ids, 0)

    async def _modify(self, ack_ids: list[str], seconds: int) -> None:
        def request(some: list[str]) -> Awaitable[object]:
            made = ModifyAckDeadlineRequest(
                subscription=self._subscription, ack_ids=some, ack_deadline_seconds=seconds
            )
            return self._service.modify_ack_deadline(made, timeout=_CALL_SECONDS)  # type: ignore[no-any-return]  # grpc is untyped

        await self._send(ack_ids, request)

    def _forget(self, ack_ids: Iterable[str]) -> None:
        for ack_id in ack_ids:
            self._held.pop(ack_id, None)

    async def _send(self, ack_ids: list[str], request: Callable[[list[str]], Awaitable[object]]) -> None:
        """Send requests about some messages; a lost one ends in a second delivery."""
        for start in range(0, len(ack_ids), _AT_ONCE):
            try:
                await request(ack_ids[start : start + _AT_ONCE])
                self._unsettled.resolve()
            except grpc.RpcError as error:
                self._unsettled.trigger(reason=error.code().name)


def _message(received: Any) -> PubsubMessage:
    """Return a received message; its attempts are counted if its subscription has dead letters."""
    message = received.message
    at = message.publish_time
    published = _EPOCH + dt.timedelta(seconds=at.seconds, microseconds=at.nanos // 1_000)
    return PubsubMessage(message.data, message.message_id, published, received.delivery_attempt or None)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
