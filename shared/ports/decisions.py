"""Ports of stored decisions: their lookup, the answers to callers, publication, and holds that are overdue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from shared.contract.decision import Decided, DecisionMessage
from shared.features.rebuilding import Asked


class Parties(NamedTuple):
    """The pseudonyms whose records a report about a Pix concerns."""

    payer_id: str
    payee_id: str
    device_id: str | None


class AskedLookup(Protocol):
    """Stored rows of Pix whose lives history has forgotten."""

    async def asked(self, end_to_end_ids: Collection[str]) -> Mapping[str, Asked]:
        """Return each Pix that was scored, with its outcomes so far. Raises Unavailable."""
        ...


class Lookup(Protocol):
    """Transactions that were scored before."""

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each known transaction, and of each known return by its D id. Raises Unavailable.

        The payer of a return is the payee of the Pix that is paid back.
        """
        ...

    async def reported(self, report_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the EndToEndIds of the Pix of each known infraction report. Raises Unavailable."""
        ...


class StoredDecision(NamedTuple):
    """The first decision of a side about a Pix, as its row is stored, and the facts that say which Pix it is."""

    decided: Decided
    amount: int
    """Centavos."""
    payer_id: str
    payee_id: str
    key_version: int | None
    """Version of the HMAC key of the pseudonyms."""


class Sought(NamedTuple):
    """A side of a Pix whose decision is looked up.

    It is looked for around the minute of its id, where it was initiated or scheduled for, and at `initiated_at` in
    microseconds, if that is known.
    """

    end_to_end_id: str
    side: str
    initiated_at: int | None


class DecisionLookup(Protocol):
    """Stored decisions that history does not keep."""

    async def decisions(self, sought: Sequence[Sought]) -> list[StoredDecision | None]:
        """Return the first decision of each, None if there is none. Raises Unavailable."""
        ...


class Callers(Protocol):
    """Those who may call a function, by the tokens that they send."""

    async def verify(self, token: str) -> None:
        """Return if a bearer token is valid. Raises Unauthenticated, Unavailable."""
        ...


class OverdueHolds(Protocol):
    """Holds and blocks whose deadline has passed."""

    async def overdue(self, since: dt.datetime, until: dt.datetime) -> Sequence[Decided]:
        """Return those with a deadline after `since` and until `until` that nothing had ended by then.

        Raises Unavailable, Misconfigured.
        """
        ...


class DecisionPublisher(Protocol):
    """The topic of decisions."""

    async def publish(self, messages: Sequence[DecisionMessage]) -> None:
        """Publish messages. Raises Unavailable unless all of them are known to be published."""
        ...
