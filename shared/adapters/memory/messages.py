"""The in-memory twins of a source of messages, and of the topic of decisions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from time import perf_counter

from shared.adapters.inbox import Inbox
from shared.contract.decision import DecisionMessage
from shared.contract.envelope import PubsubMessage
from shared.errors import Unavailable
from shared.ports.messages import Received


class MemoryTopic:
    """`shared.ports.decisions.DecisionPublisher` that keeps the messages; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.messages: list[DecisionMessage] = []
        self.away = False

    async def publish(self, messages: Sequence[DecisionMessage]) -> None:
        """Keep messages. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the topic is away")
        self.messages += messages


class MemorySource:
    """`shared.ports.messages.MessageSource` over a queue: a message given back goes to its end at once.

    `acknowledged` and `given_back` are the ids of messages, a message once for each time.
    """

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.given_back: list[str] = []
        self.closed = False
        self._inbox = Inbox()
        self._ids = itertools.count()

    @property
    def waiting(self) -> int:
        """Return the number of messages that nobody has taken."""
        return len(self._inbox)

    def publish(self, *data: bytes) -> list[str]:
        """Add messages and return their ids."""
        messages = [PubsubMessage(each, str(next(self._ids))) for each in data]
        self._offer(messages)
        return [each.message_id for each in messages]

    def fail(self, error: Exception) -> None:
        """Have every further call of `receive` raise an error."""
        self._inbox.close(error)

    async def receive(self, largest: int, enough: int, patience: float) -> list[Received]:
        """Return the next messages."""
        return await self._inbox.take(largest, enough, patience)

    async def settle(self, received: Sequence[Received], errors: Sequence[Exception | None]) -> None:
        """Note the acknowledged messages, and queue the others again."""
        failed = [each.message for each, error in zip(received, errors, strict=True) if error is not None]
        self.acknowledged += [each.receipt for each, error in zip(received, errors, strict=True) if error is None]
        self.given_back += [each.message_id for each in failed]
        self._offer(failed)

    async def stop(self) -> None:
        """Give back the messages that nobody has taken."""
        self.given_back += [each.receipt for each in self._inbox.close()]

    async def close(self) -> None:
        """Note the end."""
        self.closed = True

    def _offer(self, messages: Sequence[PubsubMessage]) -> None:
        self._inbox.add(Received(each, each.message_id, perf_counter()) for each in messages)
