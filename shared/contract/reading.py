"""From the bytes of a message to its record: the same steps for live traffic and for a file of events."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

from shared.contract.event import Event
from shared.contract.feedback import decode_feedback, unknown_values
from shared.contract.mapping import event_of, feedback_row, next_ids_of, outcome_row
from shared.contract.outcome import decode_outcome
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow, NextIds, OutcomeRow
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed, Unavailable

T = TypeVar("T")

IN_THE_FUTURE = "in_the_future"
"""The reason for quarantine of a Pix that is dated ahead of the clock."""


class Clock(Struct, frozen=True, gc=False):
    """The time at which a message is read, in microseconds, and the seconds by which its own time may be later."""

    now: int
    ahead_seconds: float

    def is_before(self, at: int) -> bool:
        """Return whether a time in microseconds is too far ahead.

        >>> Clock(now=0, ahead_seconds=300.0).is_before(300_000_001)
        True
        """
        return at - self.now > self.ahead_seconds * 1e6


class Read(Struct, Generic[T], frozen=True, gc=False):
    """The record of a message, and the parts of the message that the contract does not know."""

    record: T
    unknown_fields: int
    unknown_values: list[str]
    """Names of the fields whose value stands for any other."""
    next_ids: NextIds | None = None
    """Pseudonyms of a Pix under the next key."""


def read_transaction(
    data: bytes, pseudonymiser: Pseudonymiser, clock: Clock, following: Pseudonymiser | None = None
) -> Read[Event]:
    """Return a Pix without personal data. Raises Malformed, also for a Pix that is dated ahead of the clock.

    `following` makes the pseudonyms under the next key.

    A later time would move all records of the Pix to it, and every count before it would look old until then.
    """
    decoded = decode_transaction(data)
    transaction = decoded.value
    event = event_of(transaction, pseudonymiser)
    if clock.is_before(event.initiated_at):
        raise Malformed(IN_THE_FUTURE, "initiated_at")
    next_ids = next_ids_of(transaction, following) if following else None
    return Read(event, decoded.unknown_fields, transaction.unknown_values(), next_ids)


def read_outcome(data: bytes, clock: Clock) -> Read[OutcomeRow]:
    """Return an outcome. Raises Malformed, and Unavailable for one that is dated ahead of the clock."""
    decoded = decode_outcome(data)
    row = outcome_row(decoded.value, clock.now)
    _wait_for(row.at, clock)
    return Read(row, decoded.unknown_fields, [])


def read_report(
    data: bytes, pseudonymiser: Pseudonymiser, clock: Clock, following: Pseudonymiser | None = None
) -> Read[FeedbackRow]:
    """Return a report without personal data. Raises Malformed, and Unavailable as `read_outcome` does."""
    decoded = decode_feedback(data)
    row = feedback_row(decoded.value, clock.now, pseudonymiser, following=following)
    _wait_for(row.reported_at, clock)
    return Read(row, decoded.unknown_fields, unknown_values(decoded.value, data))


def _wait_for(at: int, clock: Clock) -> None:
    """Let a message wait for its time: it is delivered again, and becomes a dead letter if its time never comes.

    Raises Unavailable.
    """
    if clock.is_before(at):
        raise Unavailable("a message is dated ahead of the clock")
