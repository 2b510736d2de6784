"""Ports of the places in history that rows lack, or that a shard has lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from shared.contract.event import Event
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.features.places import Epoch
from shared.ports.history import Claim


class Unplaced(NamedTuple):
    """A stored decision whose row has no place in history, or not all of its places."""

    event: Event
    decision: str
    claim: Claim
    """The claim by which it was decided."""
    is_counted: bool = False
    """Whether history has counted the Pix: for its other side, or for this one, of which only another shard has lost
    its part. Then its life alone tells the place, and it is not to be counted again as a whole."""
    implied: tuple[float | None, ...] | None = None
    """The features IMPLIED by which it was decided, if its home has lost it and other shards have not: there its
    settlement may be counted by them."""


class UnplacedPeriod(NamedTuple):
    """Pix initiated from `since` on and scored before `until`."""

    since: dt.datetime
    until: dt.datetime


class UnplacedRows(Protocol):
    """Stored rows whose places in history are still to be found."""

    def scores(self, window: UnplacedPeriod, after: Unplaced | None, limit: int) -> list[Unplaced]:
        """Return up to `limit` decisions, one of each Pix and side, in the order of scoring, those after `after`.

        Raises Unavailable, Misconfigured.
        """
        ...

    def outcomes(self, window: UnplacedPeriod) -> list[OutcomeRow]:
        """Return outcomes that history has lost, or that came before their Pix had a place, in their order.

        Raises Unavailable, Misconfigured.
        """
        ...

    def reports(self, window: UnplacedPeriod) -> list[FeedbackRow]:
        """Return reports that history has lost, in their order. Raises Unavailable, Misconfigured."""
        ...


class LostPlaces(Protocol):
    """The ends of epochs in which the store lost its last changes, in the tables."""

    def noted(self) -> Mapping[int, int]:
        """Return the number of the last kept change by `Epoch.part`. Raises Unavailable, Misconfigured."""
        ...

    def note(self, epochs: Sequence[Epoch]) -> None:
        """Note epochs; later places of theirs count as missing. Raises Unavailable, Misconfigured."""
        ...
