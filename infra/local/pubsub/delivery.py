"""One message on its way to one subscription, and who holds it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any


class Holder:
    """Count what one stream has been given and not settled, and wait for room (the stream's flow control)."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages if max_messages > 0 else math.inf
        self._max_bytes = max_bytes if max_bytes > 0 else math.inf
        self._messages = 0
        self._bytes = 0
        self._settled = asyncio.Event()

    def room(self) -> float:
        """Return how many more messages may be given now."""
        return self._max_messages - self._messages if self._bytes < self._max_bytes else 0

    async def wait(self) -> None:
        """Wait until there is room."""
        while self.room() <= 0:
            self._settled.clear()
            await self._settled.wait()

    def take(self, size: int) -> None:
        """Count a message of `size` bytes that was given."""
        self._messages += 1
        self._bytes += size

    def release(self, size: int) -> None:
        """Count a message of `size` bytes that was settled."""
        self._messages -= 1
        self._bytes -= size
        self._settled.set()


@dataclass(slots=True, eq=False)
class Delivery:
    """Hold a google.pubsub.v1.PubsubMessage, how often it was tried, and its present lease."""

    message: Any
    size: int
    attempts: int = 0
    ack_id: str = ""
    due: float = math.inf  # loop time at which the lease or the back-off ends
    holder: Holder | None = None
