"""Decisions that stand though history has forgotten them, so that a message published again is not decided again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from typing import Protocol

from shared.contract.end_to_end_id import MINUTE, minute_text
from shared.contract.envelope import PubsubMessage
from shared.contract.event import Event
from shared.errors import Malformed, PixError, Unavailable
from shared.features.life import claims_of
from shared.ports.decisions import DecisionLookup, Sought, StoredDecision
from shared.ports.history import LIFE_KEY, ChangingHistory
from shared.scoring.scorer import Delivery

_MINUTE = 60_000_000  # microseconds


class EarlierDecisions:
    """Stored decisions about Pix that history may have forgotten.

    History remembers a Pix for `remembered` seconds after its last message, and no Pix is asked for before its time.
    So one that is younger, by its own time and by the minute in its id, cannot have been forgotten.
    """

    def __init__(
        self, lookup: Callable[[], DecisionLookup], now: Callable[[], int], remembered: float, key_version: int
    ) -> None:
        """`lookup` connects at its first call; most instances never need it."""
        self._lookup = lookup
        self._now = now
        self._remembered = remembered * 1e6
        self._key_version = key_version

    def may_be_forgotten(self, events: Sequence[Event]) -> set[int]:
        """Return the indexes of the Pix about which history may have forgotten an earlier message."""
        since = self._now() - self._remembered
        first_minute = minute_text(math.ceil(since / _MINUTE) * _MINUTE)
        return {
            i
            for i, event in enumerate(events)
            if event.initiated_at < since or event.end_to_end_id[MINUTE] < first_minute
        }

    async def found(self, event: Event) -> StoredDecision | None:
        """Return the stored decision about a Pix. Raises Unavailable, Malformed if its id belongs to another one."""
        (known,) = await self.all_found([event])
        if isinstance(known, Malformed):
            raise known
        return known

    async def all_found(self, events: Sequence[Event]) -> list[StoredDecision | Malformed | None]:
        """Return the stored decision about each Pix, by one query; Malformed if its id belongs to another one.

        Raises Unavailable.
        """
        lookup = await asyncio.to_thread(self._lookup)
        sought = [Sought(event.end_to_end_id, event.side, event.initiated_at) for event in events]
        return [
            Malformed("end_to_end_id_taken", "end_to_end_id") if known and self._contradicts(known, event) else known
            for known, event in zip(await lookup.decisions(sought), events, strict=True)
        ]

    def _contradicts(self, known: StoredDecision, event: Event) -> bool:
        """Return whether a row is about another Pix, as far as one key version can tell."""
        is_same = (known.amount, known.payer_id, known.payee_id) == (event.amount, event.payer_id, event.payee_id)
        return not is_same and known.key_version == self._key_version


class ScoringSteps(Protocol):
    """The steps from a message to its row (`shared.serving.score_service.ScorePipeline`)."""

    def decode(self, message: PubsubMessage) -> Delivery:
        """Parse a message. Raises Malformed."""
        ...

    async def store(self, deliveries: Sequence[Delivery]) -> Mapping[int, PixError]:
        """Store the rows of a batch; return the error of each delivery without a row. Raises Unavailable."""
        ...


class OncePipeline:
    """Score the Pix that nobody has decided yet: a message about a Pix that history has forgotten is looked up first.

    A message whose claim history keeps is not looked up: its row may not be stored, or its decision not published,
    and the claim gives the same decision again. Those of an old backlog and of dead letters that were decided are
    such. All others of a batch that are old share one query, while its young ones are scored. Without an answer they
    are delivered again.

    Without history, messages are decided, as everything is then, but for those that were delivered before: where one
    has a row, it comes again until history can say whether its decision was published.

    A caller that waits has been answered by the decide function if there was an earlier decision.
    """

    def __init__(self, pipeline: ScoringSteps, history: ChangingHistory, earlier: EarlierDecisions) -> None:
        self._pipeline = pipeline
        self._history = history
        self._earlier = earlier
        self.decode = pipeline.decode

    async def store(self, deliveries: Sequence[Delivery]) -> Mapping[int, PixError]:
        """Store the rows of a batch; return the error of each delivery without a row. Raises Unavailable."""
        old = self._earlier.may_be_forgotten([each.event for each in deliveries])
        known = {i for i, each in enumerate(deliveries) if each.reply is None and (i in old or _came_before(each))}
        if not known:
            return await self._pipeline.store(deliveries)
        new = [i for i in range(len(deliveries)) if i not in known]
        parts = await asyncio.gather(
            _part(self._pipeline.store, deliveries, new),
            _part(self._store_known, deliveries, sorted(known)),
            return_exceptions=True,
        )
        errors: dict[int, PixError] = {}
        for part in parts:
            if isinstance(part, BaseException):
                raise part
            errors |= part
        return errors

    async def _store_known(self, deliveries: Sequence[Delivery]) -> Mapping[int, PixError]:
        """Store the rows of messages that may have a decision, as far as they have none."""
        try:
            forgotten = await self._forgotten(deliveries)
        except Unavailable:
            return await self._store_without_history(deliveries)
        decided = await self._decided(deliveries, forgotten)
        taken = {i: each for i, each in decided.items() if isinstance(each, Malformed)}
        return taken | await self._store_others(deliveries, decided)

    async def _forgotten(self, deliveries: Sequence[Delivery]) -> list[int]:
        """Return the indexes of old messages of which history has no claim. Raises Unavailable."""
        events = [each.event for each in deliveries]
        values = await self._history.find([LIFE_KEY + event.end_to_end_id for event in events])
        known = [claims_of(value) if value else {} for value in values]
        old = self._earlier.may_be_forgotten(events)
        return [i for i, event in enumerate(events) if i in old and event.side not in known[i]]

    async def _store_without_history(self, deliveries: Sequence[Delivery]) -> Mapping[int, PixError]:
        again = [i for i, each in enumerate(deliveries) if _came_before(each)]
        try:
            decided = await self._decided(deliveries, again)
        except Unavailable as error:
            left: dict[int, PixError] = dict.fromkeys(again, error)
        else:
            untold = Unavailable("only history can say whether the decision was published")
            left = {i: each if isinstance(each, Malformed) else untold for i, each in decided.items()}
        return left | await self._store_others(deliveries, left)

    async def _decided(
        self, deliveries: Sequence[Delivery], indexes: Sequence[int]
    ) -> dict[int, StoredDecision | Malformed]:
        """Return the stored decisions about some of the Pix by their indexes. Raises Unavailable."""
        known = await self._earlier.all_found([deliveries[i].event for i in indexes]) if indexes else []
        return {i: each for i, each in zip(indexes, known, strict=True) if each is not None}

    async def _store_others(self, deliveries: Sequence[Delivery], done: Container[int]) -> dict[int, PixError]:
        return await _part(self._pipeline.store, deliveries, [i for i in range(len(deliveries)) if i not in done])


def _came_before(delivery: Delivery) -> bool:
    return delivery.attempt is not None and delivery.attempt > 1


async def _part(
    store: Callable[[Sequence[Delivery]], Awaitable[Mapping[int, PixError]]],
    deliveries: Sequence[Delivery],
    indexes: Sequence[int],
) -> dict[int, PixError]:
    """Store some of the deliveries; return their errors by their indexes among all."""
    if not indexes:
        return {}
    try:
        errors = await store([deliveries[i] for i in indexes])
    except Unavailable as error:
        return dict.fromkeys(indexes, error)
    return {indexes[i]: error for i, error in errors.items()}
