"""Ends of holds and blocks that nobody reviewed in time, on their way to `pix-decisions`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from shared.contract.decision import Decided, DecisionEvent, DecisionMessage
from shared.errors import Misconfigured, PreconditionFailed
from shared.ports.blobs import Blobs
from shared.ports.decisions import DecisionPublisher, OverdueHolds

NAME = "expiry/until.json"
"""Object in the bucket of data that holds the time up to which deadlines are told."""
FIRST = dt.timedelta(days=1)
"""How far the first run looks back."""
DEADLINE = "DEADLINE"
"""`ended_by` of a hold that nobody reviewed in time."""
_BLOCK = "BLOCK"


class Told(Struct, frozen=True):
    """The time up to which all deadlines are told."""

    until: dt.datetime


class Expired(Struct, frozen=True):
    """The result of a run: the deadlines from `since` to `until`, and the numbers of Pix by their end."""

    outcome: str
    since: dt.datetime
    until: dt.datetime
    released: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Expiry:
    """The services of a run."""

    holds: OverdueHolds
    publisher: DecisionPublisher
    blobs: Blobs
    unreviewed: DecisionEvent
    """The end of a hold: RELEASED or REFUSED. A block is always released: without a fraud that was found within
    72 hours, the payee is to have the money (Regulamento do Pix, Res. BCB 1/2020, art. 39-B, not read in full)."""

    async def run(self, until: dt.datetime) -> Expired:
        """Tell the end of each hold and block whose deadline has passed since the last run, at least once.

        Raises Misconfigured, Unavailable; then the next run tells them.
        """
        known = self.blobs.read(NAME)
        since = _told(known.data).until if known else until - FIRST
        if since >= until:
            return Expired("NOTHING_TO_EXPIRE", since, until)
        news = [self._message(each) for each in await self.holds.overdue(since, until)]
        if news:
            await self.publisher.publish(news)
        try:
            self.blobs.write(NAME, msgspec.json.encode(Told(until)), known.generation if known else 0)
        except PreconditionFailed:  # another run has told them too
            return _result("TOLD_TWICE", since, until, news)
        return _result("EXPIRED" if news else "NOTHING_TO_EXPIRE", since, until, news)

    def _message(self, decided: Decided) -> DecisionMessage:
        event = DecisionEvent.RELEASED if decided.decision == _BLOCK else self.unreviewed
        return DecisionMessage.ended(event, decided, decided.hold_until or 0, DEADLINE)


def _told(data: bytes) -> Told:
    try:
        return msgspec.json.decode(data, type=Told)
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{NAME} in the bucket of data is not a time: {error}") from error


def _result(outcome: str, since: dt.datetime, until: dt.datetime, news: Sequence[DecisionMessage]) -> Expired:
    released = sum(each.event == DecisionEvent.RELEASED for each in news)
    return Expired(outcome, since, until, released, len(news) - released)
