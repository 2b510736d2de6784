"""The desk: cases are listed, taken, judged, and agreed on.

A verdict is published before its event is appended, so a crash in between leaves a label, and the same form sent
again repeats both under the same ids. The lock decides who may judge: a case is read after it is locked, so that no
verdict of another person falls between.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from shared.contract.event import micros
from shared.contract.feedback import AnalystReport, ShownBecause
from shared.contract.fields import Verdict
from shared.contract.rows import ReviewRow
from shared.desk.case_state import Stage, once, state
from shared.desk.errors import HeldByAnother, JudgedMeanwhile, NoSuchCase, NotAllowed
from shared.desk.kept import Kept
from shared.desk.keyed import DeskKey
from shared.desk.listing import DeskListing, SecondReviews, listing
from shared.desk.open_case import Judgement, OpenCase
from shared.desk.ports import CaseLocks, DeskRows, Verdicts
from shared.desk.queue import QueueEntry, is_waiting, next_free, queue
from shared.desk.records import CaseId, ReviewEvent, moment
from shared.desk.roles import User
from shared.desk.settings import DeskSettings
from shared.errors import RowRefused
from shared.ports.tables import Table


class Desk:
    """The cases of one deployment; `now` returns the time in UTC."""

    def __init__(
        self,
        rows: DeskRows,
        reviews: Table,
        locks: CaseLocks,
        verdicts: Verdicts,
        key: DeskKey,
        settings: DeskSettings,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._rows = rows
        self._reviews = reviews
        self._locks = locks
        self._verdicts = verdicts
        self._key = key
        self._settings = settings
        self._now = now
        self._seconds = SecondReviews(key, settings)
        self._listing = Kept(self._listed, settings.refresh_seconds, lambda: now().timestamp())

    async def queue(self, user: User) -> list[QueueEntry]:
        """Return the cases that wait for a user, as of `refresh_seconds` ago at most. Raises Unavailable."""
        found = await self._listing.get()
        holders = await self._locks.holders(found.cases)
        return queue(found.waiting, found.states, holders, user.id, found.seconds)

    async def blind(self, user: User) -> frozenset[CaseId]:
        """Return the cases whose verdict no page may show to a user, as old as the queue. Raises Unavailable."""
        return (await self._listing.get()).blind(user.id)

    async def _listed(self) -> DeskListing:
        return await listing(self._rows, self._seconds, self._settings, self._now())

    async def case(self, case: CaseId, user: User) -> OpenCase | None:
        """Return a case, None if there is no such Pix. Raises Unavailable."""
        found, events, holders = await asyncio.gather(
            self._rows.decided([case]), self._rows.history(case), self._locks.holders([case])
        )
        if not found:
            return None
        known = state(events)
        is_second = self._seconds.is_for(user.id, case, known, self._now())
        why = ShownBecause.SECOND_REVIEW if is_second else found[0].shown_because
        return OpenCase(found[0], known, once(events), why, holders.get(case))

    async def take(self, case: CaseId, user: User, token: str) -> None:
        """Lock a case for a user. Raises HeldByAnother, NoSuchCase, NotAllowed, Unavailable."""
        async with self._locked(case, user) as opened:
            await self._taken(opened, user, token)

    async def _taken(self, opened: OpenCase, user: User, token: str) -> None:
        at = self._now()
        expires = at + dt.timedelta(seconds=self._settings.lock_seconds)
        row = self._row(ReviewEvent.TAKEN, opened, user, token, at)
        await self._append(replace(row, expires_at=micros(expires)))

    async def take_next(
        self, user: User, token: str, admit: Callable[[QueueEntry], bool] = lambda _: True
    ) -> CaseId | None:
        """Return the case that a user holds, else lock the first free one; None if there is none. Raises Unavailable.

        So two clicks take one case. A case that was judged since the queue was read is passed over.
        """
        entries = await self.queue(user)
        if held := [entry for entry in entries if entry.holder == user.id]:
            return held[0].pix.case
        for entry in next_free(filter(admit, entries)):
            if await self._has_taken(entry.pix.case, user, token):
                return entry.pix.case
        return None

    async def _has_taken(self, case: CaseId, user: User, token: str) -> bool:
        """Take a case if it still waits for the user; return whether it does."""
        try:
            async with self._locked(case, user) as opened:
                if not is_waiting(opened, user.id, self._now()):
                    raise JudgedMeanwhile("the case was judged meanwhile")
                await self._taken(opened, user, token)
        except (HeldByAnother, JudgedMeanwhile):  # another person was faster
            return False
        return True

    async def give_back(self, case: CaseId, user: User, token: str) -> None:
        """Return a case to the queue; one that the user does not hold stays as it is. Raises Unavailable."""
        opened = await self.case(case, user)
        if opened is None or opened.holder != user.id:
            return
        await self._locks.release(case, user.id)
        await self._append(self._row(ReviewEvent.RETURNED, opened, user, token, self._now()))

    async def judge(self, case: CaseId, user: User, judgement: Judgement) -> None:
        """Judge a case: publish the verdict, unless a second person has to agree first, and append the event.

        A blind second verdict is never published: it measures the first, and must neither release money nor turn a
        label. A form sent again changes nothing.
        Raises HeldByAnother, JudgedMeanwhile, NoSuchCase, NotAllowed, Unavailable.
        """
        try:
            async with self._locked(case, user) as opened:
                if not self._is_repeated(opened, user, judgement.token):
                    await self._judged(opened, user, judgement)
        except HeldByAnother:  # also once the verdict is there, whose answer may have been lost
            if not self._is_repeated(await self.case(case, user), user, judgement.token):
                raise
        else:
            await self._locks.release(case, user.id)

    def _is_repeated(self, opened: OpenCase | None, user: User, token: str) -> bool:
        if opened is None:
            return False
        own = self._key.review_id(token, opened.pix.case, user.id, ReviewEvent.JUDGED)
        return own in (each.review_id for each in opened.events)

    async def _judged(self, opened: OpenCase, user: User, judgement: Judgement) -> None:
        if judgement.seen != opened.version:
            raise JudgedMeanwhile("the case was judged meanwhile")
        at = self._now()
        row = replace(
            self._row(ReviewEvent.JUDGED, opened, user, judgement.token, at),
            verdict=judgement.verdict.value,
            reason=judgement.reason,
            note=judgement.note or None,
            seconds_taken=_seconds_taken(opened, user, at),
            needs_agreement=self._needs_agreement(opened),
        )
        if not (row.needs_agreement or opened.is_blind):
            await self._publish(row, user, row.review_id)
        await self._append(row)

    async def answer(self, case: CaseId, user: User, agrees: bool, token: str, seen: str) -> None:
        """Agree or disagree with the verdict `seen` of another person; agreement publishes it. Raises as `judge`."""
        async with self._locked(case, user) as opened:
            await self._answered(opened, user, agrees, token, seen)
        await self._locks.release(case, user.id)

    async def _answered(self, opened: OpenCase, user: User, agrees: bool, token: str, seen: str) -> None:
        judged = opened.state.judged
        if opened.state.stage is not Stage.AWAITING or judged is None:
            return  # answered before
        if judged.by_id == user.id:
            raise NotAllowed("a second person has to agree")
        if judged.review_id != seen:
            raise JudgedMeanwhile("the verdict was corrected meanwhile")
        event = ReviewEvent.AGREED if agrees else ReviewEvent.DISAGREED
        at = self._now()
        row = replace(
            self._row(event, opened, user, token, at),
            verdict=judged.verdict,
            about_id=judged.review_id,
            seconds_taken=_seconds_taken(opened, user, at),
        )
        if agrees:
            await self._publish(row, user, judged.review_id)
        await self._append(row)

    def _needs_agreement(self, opened: OpenCase) -> bool:
        return not opened.is_blind and opened.pix.amount >= 100 * self._settings.agreement_brl

    @asynccontextmanager
    async def _locked(self, case: CaseId, user: User) -> AsyncIterator[OpenCase]:
        """Lock a case and yield it as it is then; a refusal in the block ends the lock.

        A store that is away does not: the verdict may be published, and is repeated by the same person.
        """
        if not user.may_judge:
            raise NotAllowed("this role only reads")
        await self._lock(case, user)
        try:
            opened = await self.case(case, user)
            if opened is None:
                raise NoSuchCase("there is no such case")
            yield opened
        except (JudgedMeanwhile, NoSuchCase, NotAllowed):
            await self._locks.release(case, user.id)
            raise

    async def _lock(self, case: CaseId, user: User) -> None:
        holder = await self._locks.take(case, user.id, self._settings.lock_seconds)
        if holder != user.id:
            raise HeldByAnother("another person works on this case")

    def _row(self, event: ReviewEvent, opened: OpenCase, user: User, token: str, at: dt.datetime) -> ReviewRow:
        case = opened.pix.case
        review_id = self._key.review_id(token, case, user.id, event)
        return ReviewRow(review_id, case.end_to_end_id, case.side, event.value, micros(at), user.id, opened.why.value)

    async def _publish(self, row: ReviewRow, user: User, report_id: str) -> None:
        """Publish the verdict of a row under the id of the event that gave it."""
        assert row.verdict is not None
        assert row.shown_because is not None
        await self._verdicts.publish(
            AnalystReport(
                report_id=report_id,
                reported_at=moment(row.at),
                end_to_end_id=row.end_to_end_id,
                verdict=Verdict(row.verdict),
                analyst=user.name,
                shown_because=ShownBecause(row.shown_because),
            )
        )

    async def _append(self, row: ReviewRow) -> None:
        if await self._reviews.append([row]):
            raise RowRefused("pix.reviews refuses the row")
        if row.verdict is not None:
            self._listing.forget()  # a case that was judged here leaves the queue at once


def _seconds_taken(opened: OpenCase, user: User, at: dt.datetime) -> int | None:
    """Return the seconds since the user last took the case, None if the lock came with the verdict."""
    taken = [each.at for each in opened.events if each.event is ReviewEvent.TAKEN and each.by_id == user.id]
    return round((at - taken[-1]).total_seconds()) if taken else None
