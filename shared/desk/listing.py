"""The cases of all users as they were a moment ago, from which each user's queue is made."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.desk.case_state import CaseState, states
from shared.desk.keyed import DeskKey
from shared.desk.ports import DeskRows
from shared.desk.queue import awaits_second, needs_second
from shared.desk.records import CaseId, HeldPix
from shared.desk.settings import DeskSettings

HELD_DAYS = 4
"""Days back in which an event may concern a case that still waits: a block ends after 72 hours."""


class DeskListing(Struct, frozen=True):
    """The Pix that wait, the state of each case with events, and the Pix drawn for a blind second verdict."""

    waiting: Sequence[HeldPix]
    states: Mapping[CaseId, CaseState]
    seconds: Sequence[HeldPix]

    @property
    def cases(self) -> list[CaseId]:
        """Return the cases that wait for anybody."""
        return [pix.case for pix in (*self.waiting, *self.seconds)]

    def blind(self, user_id: str) -> frozenset[CaseId]:
        """Return the cases whose verdict is hidden from a user, who may judge them a second time."""
        return frozenset(pix.case for pix in self.seconds if needs_second(self.states.get(pix.case), user_id))


class SecondReviews:
    """The draw of judged cases that another person judges a second time, blind."""

    def __init__(self, key: DeskKey, settings: DeskSettings) -> None:
        self._key, self._share = key, settings.second_share
        self._period = dt.timedelta(days=settings.second_days)

    def is_for(self, user_id: str, case: CaseId, known: CaseState, now: dt.datetime) -> bool:
        """Return whether a user may give the second verdict of a case now."""
        return needs_second(known, user_id) and self.is_due(case, known, now)

    def is_due(self, case: CaseId, known: CaseState, now: dt.datetime) -> bool:
        """Return whether a case waits for a second verdict now."""
        if not awaits_second(known) or known.judged is None or known.judged.at < now - self._period:
            return False
        return self._key.is_drawn(case, self._share)


async def listing(rows: DeskRows, seconds: SecondReviews, settings: DeskSettings, now: dt.datetime) -> DeskListing:
    """Return the cases of all users. Raises Unavailable, Misconfigured."""
    since = now - dt.timedelta(days=max(HELD_DAYS, settings.second_days))
    waiting, events = await asyncio.gather(rows.waiting(now), rows.reviews(since))
    known = states(events)
    drawn = [case for case, each in known.items() if seconds.is_due(case, each, now)]
    return DeskListing(waiting, known, await rows.decided(drawn) if drawn else ())
