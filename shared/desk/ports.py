"""Ports of the desk; the twins in memory are in `shared.adapters.memory.desk`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from shared.contract.feedback import AnalystReport
from shared.contract.rows import HealthRow, LedgerRow, SuspicionRow
from shared.desk.records import CaseId, CaseStep, HeldPix, KnownOutcome, Payment, PixFacts, Report
from shared.trace.flow import Trace


class DeskRows(Protocol):
    """Rows that the desk reads. Each method raises Unavailable, Misconfigured."""

    async def waiting(self, now: dt.datetime) -> Sequence[HeldPix]:
        """Return the held and blocked Pix that no outcome has ended, and no other tool's analyst has judged."""
        ...

    async def reviews(self, since: dt.datetime) -> Sequence[CaseStep]:
        """Return the events of cases from `since` on, in their order; a repeated event may be there twice."""
        ...

    async def history(self, case: CaseId) -> Sequence[CaseStep]:
        """Return the events of a case, as `reviews`."""
        ...

    async def decided(self, cases: Collection[CaseId]) -> Sequence[HeldPix]:
        """Return the decisions of cases, as far as there are any."""
        ...

    async def reviewed(self, since: dt.datetime) -> Sequence[HeldPix]:
        """Return the decisions of the cases with a verdict from `since` on."""
        ...

    async def outcomes(self, pix: HeldPix) -> Sequence[KnownOutcome]:
        """Return the steps of a Pix after its decision, in order of time and once each."""
        ...

    async def facts(self, case: CaseId) -> PixFacts | None:
        """Return the facts of a Pix, None if there is no such row."""
        ...


class Surroundings(Protocol):
    """The past of the accounts of a case. Each method raises Unavailable, Misconfigured."""

    async def sent(self, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        """Return the Pix that an account sent in a period, in order of time, the latest ones if they are many."""
        ...

    async def received(self, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        """Return the Pix that an account received, as `sent`."""
        ...

    async def reports(self, pix: HeldPix, facts: PixFacts, since: dt.datetime) -> Sequence[Report]:
        """Return the reports about both accounts' Pix from `since` on, and markers of their holders, latest first."""
        ...

    async def earlier(self, pix: HeldPix, since: dt.datetime) -> Sequence[CaseStep]:
        """Return the verdicts of cases that share an account with a Pix, latest first."""
        ...

    async def money(self, end_to_end_id: str) -> Trace | None:
        """Return the course of the money of a Pix, None where none moved."""
        ...


class Watch(Protocol):
    """How the system does, and the fate of its models. Each method raises Unavailable, Misconfigured."""

    async def health(self, since: dt.datetime, measures: Sequence[str]) -> Sequence[HealthRow]:
        """Return some measures of days from `since` on, each once."""
        ...

    async def ledger(self, most: int) -> Sequence[LedgerRow]:
        """Return the latest events in the life of models, latest first and each once."""
        ...


class SuspicionRows(Protocol):
    """Rows of the register of suspicions; the twin is in `shared.adapters.memory.suspicions`."""

    def append(self, row: SuspicionRow) -> None:
        """Append a row. Raises Unavailable, RowRefused."""
        ...

    def rows(self, account_id: str | None) -> Sequence[SuspicionRow]:
        """Return the rows of an account, or all, in order of time, once each. Raises Unavailable, Misconfigured."""
        ...


class CaseLocks(Protocol):
    """Who works on a case: one person at a time. Each method raises Unavailable."""

    async def take(self, case: CaseId, holder: str, seconds: float) -> str:
        """Lock a case for `seconds` unless another holds it; return the holder. Taking again begins the time anew."""
        ...

    async def holders(self, cases: Sequence[CaseId]) -> Mapping[CaseId, str]:
        """Return the holder of each case that is locked."""
        ...

    async def release(self, case: CaseId, holder: str) -> None:
        """End the lock of a case if it is the holder's."""
        ...


class Verdicts(Protocol):
    """The topic of reports."""

    async def publish(self, report: AnalystReport) -> None:
        """Publish a report, and return once the topic has it. Raises Unavailable."""
        ...


class Identity(Protocol):
    """Who sends a request."""

    async def email(self, headers: Mapping[str, str]) -> str | None:
        """Return the address of the user by headers in lower case, None if they prove none. Raises Unavailable."""
        ...
