"""One unacknowledged message of one subscription, and the flow control of the stream that it was sent to."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any


class FlowControl:
    """The outstanding messages of one stream, sent but not acknowledged, and their limits; 0 or less is no limit."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages if max_messages > 0 else math.inf
        self._max_bytes = max_bytes if max_bytes > 0 else math.inf
        self._messages = 0
        self._bytes = 0
        self._settled = asyncio.Event()

    def room(self) -> float:
        """Return the number of messages that may be sent now."""
        return self._max_messages - self._messages if self._bytes < self._max_bytes else 0

    async def wait(self) -> None:
        """Wait until there is room."""
        while self.room() <= 0:
            self._settled.clear()
            await self._settled.wait()

    def take(self, size: int) -> None:
        """Count a sent message of `size` bytes."""
        self._messages += 1
        self._bytes += size

    def release(self, size: int) -> None:
        """Count an acknowledged, rejected or expired message of `size` bytes."""
        self._messages -= 1
        self._bytes -= size
        self._settled.set()


@dataclass(slots=True, eq=False)
class PendingMessage:
    """A google.pubsub.v1.PubsubMessage with its delivery attempts and its current lease."""

    message: Any
    size: int
    """Bytes."""

    attempts: int = 0
    ack_id: str = ""
    """The id of the lease; empty while the message is not leased."""

    due: float = math.inf
    """The time of the loop, in seconds, at which the lease or the back-off ends."""

    flow: FlowControl | None = None
    """The flow control of the stream that holds the lease."""
