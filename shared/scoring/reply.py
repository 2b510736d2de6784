"""Decisions on their way back to callers that wait for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from shared.contract.decision import Decided
from shared.contract.event import Event
from shared.contract.rows import ScoreRow
from shared.errors import PixError, Unavailable
from shared.features.life import STORED
from shared.ports.history import Observations
from shared.scoring.first_decision import FirstDecision

DRAW_SECONDS = 30.0
"""Longer than a batch takes from the claim to the row."""


class Reply:
    """The decision for a caller that waits, once nothing can change it: history keeps it, or its row is stored."""

    def __init__(self) -> None:
        self.decided: Decided | None = None
        self.first = False


class Asking(NamedTuple):
    """A delivery with a reply, and its position in the batch."""

    position: int
    event: Event
    reply: Reply


def unclaimed(asking: Sequence[Asking], history: Observations) -> dict[int, PixError]:
    """Return an error for each caller whose Pix history did not claim, by position.

    Without a claim, the same Pix could be decided differently a moment later. A message of the topic is decided all
    the same, by its rules alone, as its row is found again; a caller that was told a decision acts on it at once.
    """
    return {each.position: Unavailable("no claim") for each in asking if history.numbers[each.position] is None}


def undrawn(asking: Sequence[Asking], unpaid: Sequence[int], history: Observations, now: int) -> dict[int, PixError]:
    """Return an error for each caller whose draw for the control group is not known yet, by position.

    Of the positions in `unpaid`, whoever claimed the Pix first may still be paying: the caller asks again. After
    DRAW_SECONDS nobody pays any more. `now` is in microseconds.
    """
    recent = {i for i in unpaid if now - history.claims[i].scored_at < DRAW_SECONDS * 1e6}
    return {
        each.position: Unavailable("another question about it is being answered")
        for each in asking
        if each.position in recent
    }


def repeat(asking: Sequence[Asking], history: Observations) -> None:
    """Give the callers whose row was stored before the decision that history keeps, if it does."""
    for position, event, reply in asking:
        if history.sequence[position] == STORED:
            known = history.answers[position]
            if known:
                at = history.claims[position].scored_at
                reply.decided = decided_first(event.end_to_end_id, event.side, known, at)


def give(asking: Sequence[Asking], rows: Mapping[int, ScoreRow], history: Observations) -> None:
    """Give callers the decisions in rows, by position; whoever has one keeps it."""
    for position, _, reply in asking:
        if position in rows and reply.decided is None:
            reply.decided, reply.first = Decided.of(rows[position]), history.numbers[position] == 1


def decided_first(end_to_end_id: str, side: str, answer: bytes, scored_at: int) -> Decided:
    """Return the decision that history keeps as an answer with a claim."""
    known = msgspec.structs.asdict(FirstDecision.decode(answer))
    own = {name: known[name] for name in Decided.__struct_fields__ if name in known}
    return Decided(end_to_end_id=end_to_end_id, side=side, scored_at=scored_at, **own)
