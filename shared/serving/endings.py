"""Ends of holds and blocks on their way to `pix-decisions`: by an outcome, or by the verdict of a reviewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.contract.decision import Decided, DecisionEvent, DecisionMessage
from shared.contract.feedback import ShownBecause
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.errors import PixError, Unavailable
from shared.features.life import NO_KEY, claims_of, in_turn, life_of
from shared.ports.decisions import DecisionLookup, DecisionPublisher, Sought
from shared.ports.history import LIFE_KEY, ChangingHistory
from shared.scoring.reply import decided_first

HOLD, BLOCK = "HOLD", "BLOCK"
OUTCOME, REVIEW = "OUTCOME", "REVIEW"
_RELEASED, _REFUSED = DecisionEvent.RELEASED, DecisionEvent.REFUSED
_BY_OUTCOME: dict[str, dict[str, DecisionEvent]] = {
    "SETTLED": {HOLD: _RELEASED},  # a Pix that is blocked has settled before
    "REJECTED": {HOLD: _REFUSED},
    "EXPIRED": {HOLD: _REFUSED},
    "CANCELLED": {HOLD: _REFUSED},
    "RELEASED": {BLOCK: _RELEASED},
    "RETURNED": {BLOCK: _REFUSED},
}
_BY_VERDICT = {"LEGITIMATE": _RELEASED, "FRAUD": _REFUSED}


class Ending(NamedTuple):
    """The possible end of the holds and blocks of a Pix at a time in microseconds.

    A verdict is about the Pix, whichever side's case it was, so it ends the holds of both sides.
    """

    end_to_end_id: str
    sides: tuple[str, ...]
    events: Mapping[str, DecisionEvent]
    """The news for each decision that it ends."""
    at: int
    by: str

    @classmethod
    def of_outcome(cls, row: OutcomeRow) -> Ending | None:
        """Return the end by an outcome, None if it ends nothing."""
        events = _BY_OUTCOME.get(row.status)
        return cls(row.end_to_end_id, (row.side,), events, row.at, OUTCOME) if events else None

    @classmethod
    def of_report(cls, row: FeedbackRow) -> Ending | None:
        """Return the end by the verdict of a reviewer, None for any other report.

        A blind second review measures reviewers; it moves no money.
        """
        is_verdict = row.source == "ANALYST" and row.shown_because != ShownBecause.SECOND_REVIEW
        event = _BY_VERDICT.get(row.verdict or "") if is_verdict else None
        if event is None or row.end_to_end_id is None:
            return None
        return cls(row.end_to_end_id, ("PAYER", "PAYEE"), {HOLD: event, BLOCK: event}, row.reported_at, REVIEW)

    def event_of(self, decided: Decided, settled: bool) -> DecisionEvent | None:
        """Return the news for a decision, None if this does not end it.

        A review is too late after the time of the hold, and once a Pix that was held has settled, which is final.
        """
        is_after = decided.hold_until is not None and self.at > decided.hold_until
        is_over = settled and decided.decision == HOLD
        return None if self.by == REVIEW and (is_after or is_over) else self.events.get(decided.decision)


class Endings:
    """Publish the end of each hold and block, at least once: a message that tells it again is told again.

    History keeps the decisions of Pix that are held or blocked with their claims, so that most outcomes, which are
    about approved Pix, cost no query. A Pix that history has forgotten is looked up.
    """

    def __init__(self, history: ChangingHistory, stored: DecisionLookup, publisher: DecisionPublisher) -> None:
        self._history = history
        self._lookup = stored
        self._publisher = publisher

    async def tell(self, endings: Mapping[int, Ending | None]) -> dict[int, PixError]:
        """Publish the endings; return the error of each that is not known to be published, by index."""
        ends = {i: ending for i, ending in endings.items() if ending is not None}
        if not ends:
            return {}
        try:
            values = await self._history.find([LIFE_KEY + each.end_to_end_id for each in ends.values()])
            news = await self._news(list(ends.values()), values)
            if news:
                await self._publisher.publish(news)
        except Unavailable as error:
            return dict.fromkeys(ends, error)
        return {}

    async def _news(self, ends: Sequence[Ending], values: Sequence[bytes | None]) -> list[DecisionMessage]:
        """Return the endings, given the life of each Pix; decisions that history has not kept share one query."""
        sides = [(ending, value, side) for ending, value in zip(ends, values, strict=True) for side in ending.sides]
        known = [_kept(ending.end_to_end_id, side, value) for ending, value, side in sides]
        sought = [each for each in known if isinstance(each, Sought)]
        found = iter(await self._lookup.decisions(sought) if sought else [])
        news = []
        for (ending, value, _), each in zip(sides, known, strict=True):
            decided = each
            if isinstance(each, Sought):
                stored = next(found)
                decided = stored.decided if stored else None
            settled = value is not None and bool(life_of(value)["settled_at"][0])
            if isinstance(decided, Decided) and (event := ending.event_of(decided, settled)):
                news.append(DecisionMessage.ended(event, decided, ending.at, ending.by))
        return news


def _kept(end_to_end_id: str, side: str, value: bytes | None) -> Decided | Sought | None:
    """Return the decision of a side by a life, or where it is to be looked up.

    None if it has none, or has not kept it, as nothing was held.
    """
    if value is None:
        return Sought(end_to_end_id, side, None)
    claim = in_turn(claims_of(value)).get(side)
    if claim is None:
        return None
    if claim.answer:
        return decided_first(end_to_end_id, side, claim.answer, claim.scored_at)
    if claim.key_version != NO_KEY:
        return None
    return Sought(end_to_end_id, side, int(life_of(value)["at"][0]))  # a life that was made again from rows
