"""`shared.desk.ports.DeskRows` and `Surroundings` by queries, each in a thread."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.adapters.bigquery.decisions import decided_of
from shared.adapters.bigquery.desk.sql import HELD, DeskSql
from shared.adapters.bigquery.desk.threads import QueryThreads
from shared.adapters.bigquery.lookup import FAR_DAYS
from shared.contract.decision import Decided
from shared.contract.end_to_end_id import minute_of
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.transaction import ID_TOLERANCE
from shared.desk.kept import Kept
from shared.desk.listing import HELD_DAYS
from shared.desk.records import CaseId, CaseStep, HeldPix, KnownOutcome, Payment, PixFacts, Report, ReviewEvent
from shared.ports.tables import Parameter, Queries
from shared.trace.flow import Trace
from shared.trace.graph import TraceLimits
from shared.trace.source import TraceSource

Row = Mapping[str, Any]

AHEAD = dt.timedelta(hours=1)
"""Time that the clock of a publisher may be ahead."""
FAR = dt.timedelta(days=FAR_DAYS)
"""Time before its id's minute in which a scheduled Pix is looked for."""
ENDED_SECONDS = 60.0
"""Age at which the ends of held Pix are read again: they are looked for among all outcomes of HELD_DAYS."""
STOPPED = ("HOLD", "BLOCK")
_FACTS = PixFacts.__struct_fields__[:-1]


class _Rows:
    """Queries in threads, in time."""

    def __init__(self, queries: Queries, project: str, dataset: str, threads: QueryThreads | None = None) -> None:
        """Ask in `threads`, by default in some of its own."""
        self._queries, self._threads = queries, threads or QueryThreads()
        self._sql = DeskSql(project, dataset)

    async def _ask(self, sql: str, **parameters: Parameter) -> list[dict[str, Any]]:
        """Return the rows of a query. Raises Unavailable, Misconfigured."""
        return await self._threads.run(self._queries.rows, sql, parameters)


class BigQueryDeskRows(_Rows):
    """`shared.desk.ports.DeskRows`, and `shared.ports.decisions.OverdueHolds`, in a dataset."""

    def __init__(self, queries: Queries, project: str, dataset: str, threads: QueryThreads | None = None) -> None:
        super().__init__(queries, project, dataset, threads)
        self._as_of = dt.datetime.now(dt.UTC)
        self._ended = Kept(self._read_ended, ENDED_SECONDS, time.monotonic)

    async def waiting(self, now: dt.datetime) -> Sequence[HeldPix]:
        """Return the Pix that wait; an end that is no verdict of the desk is known ENDED_SECONDS later at the latest.

        Raises Unavailable, Misconfigured.
        """
        self._as_of = now
        rows, ended = await asyncio.gather(self._ask(self._sql.held, **_held_at(now)), self._ended.get())
        return [pix for pix in map(_held, rows) if pix.case not in ended]

    async def overdue(self, since: dt.datetime, until: dt.datetime) -> Sequence[Decided]:
        """Return the Pix whose deadline has passed. Raises Unavailable, Misconfigured."""
        asked = {"after": since, "now": until, "since": since - dt.timedelta(days=HELD_DAYS), "until": until + AHEAD}
        passed = {_case(row) for row in await self._ask(self._sql.overdue, **asked)}
        if not passed:
            return []
        left = passed - {_case(row) for row in await self._ask(self._sql.ended_in_time, **asked)}
        rows = await self._of({case.end_to_end_id for case in left}, ", ".join(HELD))  # the first decisions of all
        return [decided_of(row) for row in rows if row["decision"] in STOPPED and _case(row) in left]

    async def _read_ended(self) -> frozenset[CaseId]:
        rows = await self._ask(self._sql.ended, **_held_at(self._as_of))
        return frozenset(map(_case, rows))

    async def reviews(self, since: dt.datetime) -> Sequence[CaseStep]:
        """Return the events of cases from `since` on. Raises Unavailable, Misconfigured."""
        return [_review(row) for row in await self._ask(self._sql.reviews, since=since)]

    async def history(self, case: CaseId) -> Sequence[CaseStep]:
        """Return the events of a case. Raises Unavailable, Misconfigured."""
        minute = minute_of(case.end_to_end_id)
        if minute is None:
            return []
        given: dict[str, Parameter] = {"id": case.end_to_end_id, "side": case.side, "since": minute - FAR}
        return [_review(row) for row in await self._ask(self._sql.history, **given)]

    async def decided(self, cases: Collection[CaseId]) -> Sequence[HeldPix]:
        """Return the decisions of cases. Raises Unavailable, Misconfigured."""
        rows = await self._of({case.end_to_end_id for case in cases}, ", ".join(HELD))
        return [pix for pix in map(_held, rows) if pix.case in cases]

    async def reviewed(self, since: dt.datetime) -> Sequence[HeldPix]:
        """Return the decisions of judged cases. Raises Unavailable, Misconfigured."""
        given = {"judged_since": since, "since": since - dt.timedelta(days=HELD_DAYS)}
        rows = await self._ask(self._sql.reviewed, until=dt.datetime.now(dt.UTC) + AHEAD, **given)
        return [_held(row) for row in rows]

    async def outcomes(self, pix: HeldPix) -> Sequence[KnownOutcome]:
        """Return the steps of a Pix after its decision. Raises Unavailable, Misconfigured."""
        since = pix.initiated_at - AHEAD
        return [KnownOutcome(**row) for row in await self._ask(self._sql.outcomes, id=pix.end_to_end_id, since=since)]

    async def facts(self, case: CaseId) -> PixFacts | None:
        """Return the facts of a Pix. Raises Unavailable, Misconfigured."""
        rows = await self._of({case.end_to_end_id}, "*")
        return next((_facts(row) for row in rows if _side(row) == case.side), None)

    async def _of(self, ids: Collection[str], columns: str) -> list[dict[str, Any]]:
        """Return columns of the decisions about Pix, looked for in the days of their ids first."""
        minutes = {id_: minute for id_ in ids if (minute := minute_of(id_)) is not None}
        if not minutes:
            return []
        rows = await self._between(minutes, ID_TOLERANCE, columns)
        missing = {
            id_: minute for id_, minute in minutes.items() if id_ not in {row["end_to_end_id"] for row in rows}
        }
        return rows + (await self._between(missing, FAR, columns) if missing else [])

    async def _between(
        self, minutes: Mapping[str, dt.datetime], before: dt.timedelta, columns: str
    ) -> list[dict[str, Any]]:
        given: dict[str, Parameter] = {f"id_{number}": id_ for number, id_ in enumerate(minutes)}
        given |= {"since": min(minutes.values()) - before, "until": max(minutes.values()) + ID_TOLERANCE}
        return await self._ask(self._sql.decided(len(minutes), columns), **given)


class BigQuerySurroundings(_Rows):
    """`shared.desk.ports.Surroundings` in a dataset."""

    def __init__(
        self,
        queries: Queries,
        project: str,
        dataset: str,
        maturity_days: float,
        threads: QueryThreads | None = None,
    ) -> None:
        super().__init__(queries, project, dataset, threads)
        self._source = TraceSource(queries, project, dataset, maturity_days)

    async def sent(self, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        """Return the Pix that an account sent. Raises Unavailable, Misconfigured."""
        return await self._payments("payer_id", account, since, until)

    async def received(self, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        """Return the Pix that an account received. Raises Unavailable, Misconfigured."""
        return await self._payments("payee_id", account, since, until)

    async def reports(self, pix: HeldPix, facts: PixFacts, since: dt.datetime) -> Sequence[Report]:
        """Return the reports about both accounts and their holders. Raises Unavailable, Misconfigured."""
        people = {"payer_person": facts.payer_person_id, "payee_person": facts.payee_person_id or ""}
        rows = await self._ask(self._sql.reports, payer=pix.payer_id, payee=pix.payee_id, since=since, **people)
        return [
            Report(**{**row, "of_payer": bool(row["of_payer"]), "of_payee": bool(row["of_payee"])}) for row in rows
        ]

    async def earlier(self, pix: HeldPix, since: dt.datetime) -> Sequence[CaseStep]:
        """Return the verdicts of cases that share an account. Raises Unavailable, Misconfigured."""
        given = {"payer": pix.payer_id, "payee": pix.payee_id, "own": pix.end_to_end_id}
        return [_review(row) for row in await self._ask(self._sql.earlier, since=since, **given)]

    async def money(self, end_to_end_id: str) -> Trace | None:
        """Return the course of the money of a Pix. Raises Unavailable, Misconfigured."""
        found = await self._threads.run(self._source.trace, end_to_end_id, TraceLimits())
        return found if isinstance(found, Trace) else None

    async def _payments(self, party: str, account: str, since: dt.datetime, until: dt.datetime) -> Sequence[Payment]:
        rows = await self._ask(self._sql.payments(party), account=account, since=since, until=until)
        return [Payment(**{**row, "amount": _centavos(row["amount"])}) for row in reversed(rows)]


def _held(row: Row) -> HeldPix:
    values = {name: row[name] for name in HELD}
    amended = {"side": _side(row), "amount": _centavos(row["amount"]), "reasons": tuple(row["reasons"] or ())}
    return HeldPix(**(values | amended))


def _facts(row: Row) -> PixFacts:
    names = [name for name in row if name.startswith(FEATURE_PREFIX) and row[name] is not None]
    features = {name.removeprefix(FEATURE_PREFIX): float(row[name]) for name in names}
    values = {name: row[name] for name in _FACTS}
    return PixFacts(**values, features=features)


def _review(row: Row) -> CaseStep:
    values = {name: row[name] for name in CaseStep.__struct_fields__ if name in row}
    case = CaseId(row["end_to_end_id"], row["side"])
    amended = {"event": ReviewEvent(row["event"]), "needs_agreement": bool(row["needs_agreement"])}
    return CaseStep(**(values | amended | {"case": case}))


def _held_at(now: dt.datetime) -> dict[str, Parameter]:
    """Return the parameters of the Pix that are held at a time."""
    return {"now": now, "since": now - dt.timedelta(days=HELD_DAYS), "until": now + AHEAD}


def _case(row: Row) -> CaseId:
    return CaseId(row["end_to_end_id"], _side(row))


def _side(row: Row) -> str:
    return row["side"] or "PAYER"


def _centavos(amount: Decimal) -> int:
    return round(amount * 100)
