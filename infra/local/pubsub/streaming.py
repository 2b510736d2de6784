"""One StreamingPull call: messages out, acknowledgements in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from infra.local.pubsub import wire
from infra.local.pubsub.broker import SubscriptionState
from infra.local.pubsub.errors import InvalidArgument
from infra.local.pubsub.pending import FlowControl, PendingMessage

LARGEST_BATCH = 100  # messages: so that several streams share a backlog


class StreamingPull:
    """One stream, within the flow control of its first request."""

    def __init__(self, state: SubscriptionState, first: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._state = state
        self._context = context
        self._deadline = 0
        self._flow = FlowControl(first.max_outstanding_messages, first.max_outstanding_bytes)
        self._apply(first)
        if not self._deadline:
            raise InvalidArgument("The first request needs stream_ack_deadline_seconds.")

    async def run(self) -> None:
        """Send until the client closes its side."""
        sending = asyncio.create_task(self._send())
        reading = asyncio.create_task(self._read())
        try:
            done, _ = await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (sending, reading):
                task.cancel()
            for task in (sending, reading):
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _send(self) -> None:
        backlog = self._state.backlog
        while True:
            await self._flow.wait()
            await backlog.wait()
            batch = backlog.lease(min(self._flow.room(), LARGEST_BATCH), self._deadline, self._flow)
            if batch:
                messages = received(batch, self._state)
                await self._context.write(wire.StreamingPullResponse(received_messages=messages))

    async def _read(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            self._apply(request)

    def _apply(self, request: Any) -> None:
        """Apply a request's acknowledgements and deadlines; an empty request only keeps the stream alive."""
        if request.stream_ack_deadline_seconds:
            self._deadline = request.stream_ack_deadline_seconds
        if not 10 <= self._deadline <= 600:
            raise InvalidArgument("stream_ack_deadline_seconds out of bounds: use 10 to 600.")
        for ack_id in request.ack_ids:
            self._state.backlog.acknowledge(ack_id)
        modified = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=False)
        for ack_id, seconds in modified:
            self._state.backlog.extend(ack_id, seconds)


def received(batch: Iterable[PendingMessage], state: SubscriptionState) -> list[Any]:
    """Return ReceivedMessages, with their delivery attempts if there is a dead-letter policy."""
    counted = bool(state.backlog.policy.max_attempts)
    return [
        wire.ReceivedMessage(
            ack_id=pending.ack_id,
            message=pending.message,
            delivery_attempt=pending.attempts if counted else 0,
        )
        for pending in batch
    ]
