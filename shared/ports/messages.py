"""Ports of messages that workers pull, of dead letters, and of the export of metrics."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from shared.contract.envelope import PubsubMessage
from shared.telemetry.metrics import Series


class MetricsExporter(Protocol):
    """The collector of metrics."""

    def export(self, series: Sequence[Series]) -> None:
        """Send the series, cumulative since the start of the process. Blocks. Raises Unavailable."""
        ...


class Received(NamedTuple):
    """A message that a source has handed out, until it is settled."""

    message: PubsubMessage
    receipt: Any
    """The source's own name of this delivery."""
    at: float
    """The time of its arrival (`perf_counter`)."""


class MessageSource(Protocol):
    """A subscription whose messages are taken in batches, each settled once its row is stored, or else given back."""

    @property
    def waiting(self) -> int:
        """The number of messages that have come and are not received yet."""
        ...

    async def receive(self, largest: int, enough: int, patience: float) -> list[Received]:
        """Return 1 to `largest` messages: once `enough` have come, or `patience` seconds have passed with fewer.

        Return none once the source is stopped. Raises Misconfigured if there is no such subscription.
        """
        ...

    async def settle(self, received: Sequence[Received], errors: Sequence[Exception | None]) -> None:
        """Acknowledge the messages without an error, and have the others delivered again, later.

        It never raises: the message of a settlement that is lost is delivered again.
        """
        ...

    async def stop(self) -> None:
        """Receive nothing more, and give back all that nobody has taken; messages in work can still be settled."""
        ...

    async def close(self) -> None:
        """End the connections."""
        ...


REDRIVEN = "redriven"
"""The message attribute that counts redrives."""


class DeadLetter(NamedTuple):
    """A message among the dead letters, leased under `ack_id`."""

    message_id: str
    data: bytes
    attributes: Mapping[str, str]
    died_at: dt.datetime
    ack_id: str

    @property
    def redriven(self) -> int:
        """The number of earlier redrives."""
        text = self.attributes.get(REDRIVEN, "")
        return int(text) if text.isdecimal() else 0


class DeadLetters(Protocol):
    """The dead letters of one topic."""

    def pull(self, limit: int, seconds: float) -> list[DeadLetter]:
        """Lease up to `limit` letters; return none if none arrives in time. Raises Unavailable, Misconfigured."""
        ...

    def redrive(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Publish letters to their topic and remove the published ones; return the others. Raises Unavailable."""
        ...

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """End the leases of letters, so that they can be pulled again at once. Raises Unavailable."""
        ...
