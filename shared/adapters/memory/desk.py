"""In-memory twins of the desk's ports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence

from shared.adapters.memory.serving import MemoryTable
from shared.contract.feedback import AnalystReport
from shared.contract.rows import ReviewRow
from shared.desk.records import CaseId, CaseStep, HeldPix, KnownOutcome, Payment, PixFacts, Report, ReviewEvent
from shared.errors import Unavailable
from shared.trace.flow import Trace

Clock = Callable[[], dt.datetime]


class MemoryDeskRows:
    """`shared.desk.ports.DeskRows` over dicts; `away` makes it unavailable.

    The events are the rows of `reviews`, `ended` the cases with an outcome.
    """

    def __init__(self, reviews: MemoryTable) -> None:
        self.pix: dict[CaseId, HeldPix] = {}
        self.known_facts: dict[CaseId, PixFacts] = {}
        self.known_outcomes: dict[str, list[KnownOutcome]] = {}
        self.ended: set[CaseId] = set()
        self.away = False
        self._reviews = reviews

    def add(self, *pix: HeldPix) -> None:
        """Add decisions."""
        self.pix |= {each.case: each for each in pix}

    async def waiting(self, now: dt.datetime) -> Sequence[HeldPix]:
        """Return the held Pix that have not ended. Raises Unavailable while away."""
        self._check()
        return [each for each in self.pix.values() if each.case not in self.ended and _is_held(each, now)]

    async def reviews(self, since: dt.datetime) -> Sequence[CaseStep]:
        """Return the events from `since` on. Raises Unavailable while away."""
        self._check()
        return [each for each in self._events() if each.at >= since]

    async def history(self, case: CaseId) -> Sequence[CaseStep]:
        """Return the events of a case. Raises Unavailable while away."""
        self._check()
        return [each for each in self._events() if each.case == case]

    async def decided(self, cases: Collection[CaseId]) -> Sequence[HeldPix]:
        """Return the decisions of cases. Raises Unavailable while away."""
        self._check()
        return [self.pix[case] for case in cases if case in self.pix]

    async def reviewed(self, since: dt.datetime) -> Sequence[HeldPix]:
        """Return the decisions of judged cases. Raises Unavailable while away."""
        judged = {each.case for each in await self.reviews(since) if each.event is ReviewEvent.JUDGED}
        return await self.decided(judged)

    async def outcomes(self, pix: HeldPix) -> Sequence[KnownOutcome]:
        """Return the steps of a Pix after its decision, by its EndToEndId. Raises Unavailable while away."""
        self._check()
        return sorted(set(self.known_outcomes.get(pix.end_to_end_id, [])))

    async def facts(self, case: CaseId) -> PixFacts | None:
        """Return the facts of a Pix. Raises Unavailable while away."""
        self._check()
        return self.known_facts.get(case)

    def _events(self) -> list[CaseStep]:
        return [CaseStep.of(row) for row in self._reviews.rows if isinstance(row, ReviewRow)]

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the rows of the desk are away")


def _is_held(pix: HeldPix, now: dt.datetime) -> bool:
    return pix.decision in ("HOLD", "BLOCK") and pix.hold_until is not None and pix.hold_until > now


class MemorySurroundings:
    """`shared.desk.ports.Surroundings` over lists; `away` makes them unavailable."""

    def __init__(self) -> None:
        self.away = False
        self.payments: list[Payment] = []
        self.known_reports: list[Report] = []
        self.verdicts: list[CaseStep] = []
        self.traces: dict[str, Trace] = {}

    async def sent(self, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        """Return the Pix that an account sent in a period. Raises Unavailable while away."""
        self._check()
        return [each for each in self.payments if each.payer_id == account and since <= each.initiated_at < until]

    async def received(self, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        """Return the Pix that an account received in a period. Raises Unavailable while away."""
        self._check()
        return [each for each in self.payments if each.payee_id == account and since <= each.initiated_at < until]

    async def reports(self, pix: HeldPix, facts: PixFacts, since: dt.datetime) -> Sequence[Report]:  # noqa: ARG002 (memory holds those of one case)
        """Return the reports from `since` on. Raises Unavailable while away."""
        self._check()
        return [each for each in self.known_reports if each.reported_at >= since]

    async def earlier(self, pix: HeldPix, since: dt.datetime) -> Sequence[CaseStep]:
        """Return the verdicts of other cases from `since` on. Raises Unavailable while away."""
        self._check()
        judged = [each for each in self.verdicts if each.event is ReviewEvent.JUDGED and each.at >= since]
        return [each for each in judged if each.case != pix.case]

    async def money(self, end_to_end_id: str) -> Trace | None:
        """Return the course of the money of a Pix. Raises Unavailable while away."""
        self._check()
        return self.traces.get(end_to_end_id)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the past of the accounts is away")


class MemoryCaseLocks:
    """`shared.desk.ports.CaseLocks` over a dict, by a clock; `away` makes it unavailable."""

    def __init__(self, now: Clock = lambda: dt.datetime.now(dt.UTC)) -> None:
        self.away = False
        self._now = now
        self._held: dict[CaseId, tuple[str, dt.datetime]] = {}

    async def take(self, case: CaseId, holder: str, seconds: float) -> str:
        """Lock a case unless another holds it; return the holder. Raises Unavailable while away."""
        other = (await self.holders([case])).get(case)
        if other in (None, holder):
            self._held[case] = (holder, self._now() + dt.timedelta(seconds=seconds))
        return other or holder

    async def holders(self, cases: Sequence[CaseId]) -> Mapping[CaseId, str]:
        """Return the holders of locked cases. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the locks are away")
        now = self._now()
        return {case: self._held[case][0] for case in cases if case in self._held and self._held[case][1] > now}

    async def release(self, case: CaseId, holder: str) -> None:
        """End the lock of a case if it is the holder's. Raises Unavailable while away."""
        if (await self.holders([case])).get(case) == holder:
            del self._held[case]


class MemoryVerdicts:
    """`shared.desk.ports.Verdicts` over a list; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.published: list[AnalystReport] = []
        self.away = False

    async def publish(self, report: AnalystReport) -> None:
        """Keep a report. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the topic is away")
        self.published.append(report)


class NamedUser:
    """`shared.desk.ports.Identity` of one user, or of the one that the cookie `desk_user` names."""

    def __init__(self, email: str) -> None:
        self._email = email

    async def email(self, headers: Mapping[str, str]) -> str | None:
        """Return the user's address in lower case, so that a person has one pseudonym."""
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
        named = cookies.get("desk_user", "").strip('"')  # quoted where a page of ours has set it, as it has an @
        return (named or self._email).lower()
