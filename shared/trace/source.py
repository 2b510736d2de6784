"""The settled Pix of accounts, from the view `life`, read in periods.

The view cannot skip days below its own grouping. So its query is run over the rows of the asked accounts and days
only: it reads each base table through a filter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.contract.end_to_end_id import minute_of
from shared.contract.event import EPOCH, micros
from shared.contract.fields import EndToEndId
from shared.contract.tables import query
from shared.contract.transaction import ID_TOLERANCE
from shared.errors import Misconfigured
from shared.ports.tables import Parameter, Queries
from shared.trace.flow import Trace, follow
from shared.trace.graph import Graph, Pix, Spans, TraceLimits, grow

ROWS_MAX = 10_000
"""Pix read for one layer, the largest first: far more than a graph takes."""
SETTLED_LATER = dt.timedelta(days=1)
"""Longest time from the start of a Pix to its settlement for which it is found: it may be held for an hour.

A Pix scheduled earlier is found only as a root.
"""
_COLUMNS = "end_to_end_id, side, settled_at, amount, returned_amount, payer_id, payee_id, decision, outcome"


class Untraced(Struct, frozen=True):
    """A Pix that moved no money: `reason` is NOT_SETTLED, or RETURNED if all of it came back.

    `outcome` is the one of the view `life`, None while there is none.
    """

    reason: str
    decision: str | None
    outcome: str | None


class TraceSource:
    """The Pix in `dataset` of `project`; `maturity_days` is that of the verdicts."""

    def __init__(self, queries: Queries, project: str, dataset: str, maturity_days: float) -> None:
        self._queries = queries
        self._sql = TraceSql(project, dataset, maturity_days)

    def trace(self, end_to_end_id: str, limits: TraceLimits) -> Trace | Untraced:
        """Trace the money of a Pix. Raises Misconfigured if there is no such Pix, Unavailable."""
        rows = self._root(end_to_end_id)
        settled = settled_pix(rows)
        if not settled:
            first = payers_first(rows)[0]
            return Untraced("NOT_SETTLED", first["decision"], first["outcome"])
        [root] = settled
        if not root.net:
            return Untraced("RETURNED", root.decision, "RETURNED")
        graph = grow(root, lambda spans: self.sent(spans, limits), limits)
        return follow(self._judged(graph), limits)

    def sent(self, spans: Spans, limits: TraceLimits) -> list[Pix]:
        """Return the largest Pix that each account sent in its periods, ROWS_MAX in all. Raises Unavailable."""
        periods = [span for of_account in spans.values() for span in of_account]
        since, until = _moment(min(periods).since), _moment(max(span.until for span in periods))
        given: dict[str, Parameter] = {f"account_{number}": account for number, account in enumerate(spans)}
        for number, span in enumerate(periods):
            given |= {f"since_{number}": _moment(span.since), f"until_{number}": _moment(span.until)}
        given |= {"since": since - SETTLED_LATER, "until": until, "money_since": since}
        least = {"amount_min": f"{limits.amount_min / 100:.2f}"}
        sql = self._sql.sent([len(of_account) for of_account in spans.values()])
        return settled_pix(self._queries.rows(sql, given | least))

    def _root(self, end_to_end_id: str) -> list[dict[str, Any]]:
        """Return the rows of a Pix, one for each side, looked for in its own days first."""
        try:
            msgspec.convert(end_to_end_id, EndToEndId)
        except msgspec.ValidationError as error:
            raise Misconfigured("an EndToEndId is E or D, ISPB (8), yyyyMMddHHmm in UTC, 11 alphanumerics") from error
        given: dict[str, Parameter] = {"end_to_end_id": end_to_end_id}
        if minute := minute_of(end_to_end_id):
            near = {"since": minute - ID_TOLERANCE, "until": minute + ID_TOLERANCE}
            if rows := self._queries.rows(self._sql.root(bounded=True), given | near):
                return rows
        rows = self._queries.rows(self._sql.root(bounded=False), given)
        if not rows:
            raise Misconfigured(f"no Pix {end_to_end_id} was scored here")
        return rows

    def _judged(self, graph: Graph) -> Graph:
        """Return a graph with the verdicts of its Pix."""
        moments = [member.pix.moved_at for member in graph.members]
        given: dict[str, Parameter] = {f"id_{n}": member.pix.end_to_end_id for n, member in enumerate(graph.members)}
        given |= {"since": _moment(moments[0]) - SETTLED_LATER, "until": _moment(max(moments))}
        rows = self._queries.rows(self._sql.verdicts(len(graph.members)), given)
        verdicts = {row["end_to_end_id"]: row["verdict"] for row in rows}
        members = [
            replace(member, pix=replace(member.pix, verdict=verdicts.get(member.pix.end_to_end_id)))
            for member in graph.members
        ]
        return Graph(members, graph.left_out)


class TraceSql:
    """The GoogleSQL about Pix and their lives in `dataset` of `project`.

    A graph grows without verdicts, so `life` is read without them, and the verdicts once at the end.
    """

    def __init__(self, project: str, dataset: str, maturity_days: float) -> None:
        self._labels, life = (
            query(name, project, dataset, maturity_days, "CURRENT_TIMESTAMP()") for name in ("labels", "life")
        )
        self._life = life.replace(self._labels, _NO_LABELS)
        self._place = f"{project}.{dataset}"

    def root(self, bounded: bool) -> str:
        """Return the query of a Pix, limited to Pix from @since to @until if `bounded`."""
        only = "end_to_end_id = @end_to_end_id"
        pix = f"{only} AND {_DAYS}" if bounded else only
        life = self._of(self._life, pix, pix, only)
        return f"SELECT {_COLUMNS} FROM ({life}) AS life"  # noqa: S608 (names of our own)

    def sent(self, periods: Sequence[int]) -> str:
        """Return the query of the Pix of @account_0 and so on, initiated from @since to @until.

        Each settled in one of the periods of its payer, from @since_0 to @until_0 and so on; `periods` has the
        number of each account. Of an account with many Pix, those outside its periods would take the room of others.
        """
        payers = _parameters("account", len(periods))
        pix = f"payer_id IN ({payers}) AND {_DAYS} AND amount >= CAST(@amount_min AS NUMERIC)"
        theirs = f"end_to_end_id IN (SELECT end_to_end_id FROM `{self._place}.score_events` WHERE {pix})"  # noqa: S608 (names of our own)
        life = self._of(self._life, pix, f"{_DAYS} AND {theirs}", f"`at` >= @money_since AND {theirs}")
        return (
            f"SELECT {_COLUMNS} FROM ({life}) AS life WHERE {_in_periods(periods)} "  # noqa: S608 (names of our own)
            f"ORDER BY amount DESC LIMIT {ROWS_MAX}"
        )

    def verdicts(self, ids: int) -> str:
        """Return the query of the verdicts about @id_0, @id_1 and so on, from @since to @until."""
        only = f"end_to_end_id IN ({_parameters('id', ids)})"
        labels = self._of(self._labels, f"{only} AND {_DAYS}", f"{only} AND {_DAYS}", only)
        labels = _through(labels, f"`{self._place}.feedback`", f"{only} OR source = 'FRAUD_MARKER'")
        return f"SELECT end_to_end_id, verdict FROM ({labels}) AS labels"  # noqa: S608 (names of our own)

    def _of(self, sql: str, pix: str, fills: str, outcomes: str) -> str:
        """Return a query over the Pix, their fills and the outcomes that fulfil a condition each."""
        for table, condition in (("score_events", pix), ("fills", fills), ("outcomes", outcomes)):
            sql = _through(sql, f"`{self._place}.{table}`", condition)
        return sql


_DAYS = "initiated_at BETWEEN @since AND @until"
_NO_LABELS = (
    "SELECT CAST(NULL AS STRING) AS end_to_end_id, CAST(NULL AS STRING) AS side, CAST(NULL AS STRING) AS verdict, "
    "CAST(NULL AS TIMESTAMP) AS labelled_at, CAST(NULL AS INT64) AS hop"
)


def _through(sql: str, table: str, condition: str) -> str:
    """Return a query that reads a table through a filter."""
    return sql.replace(f"FROM {table}", f"FROM (SELECT * FROM {table} WHERE {condition})")  # noqa: S608 (names of our own)


def _in_periods(periods: Sequence[int]) -> str:
    """Return the condition that a Pix settled in a period of its payer, `periods` of each.

    >>> _in_periods([1])
    '((payer_id = @account_0 AND settled_at BETWEEN @since_0 AND @until_0))'
    """
    accounts = [account for account, count in enumerate(periods) for _ in range(count)]
    found = (
        f"(payer_id = @account_{account} AND settled_at BETWEEN @since_{number} AND @until_{number})"
        for number, account in enumerate(accounts)
    )
    return f"({' OR '.join(found)})"


def _parameters(name: str, count: int) -> str:
    return ", ".join(f"@{name}_{number}" for number in range(count))


def settled_pix(rows: list[dict[str, Any]]) -> list[Pix]:
    """Return the Pix that settled by rows of `life`, one for each EndToEndId, whichever side published it.

    The payer's side tells the decision, as the other one decides later; the larger sum returned counts.
    """
    found: dict[str, Pix] = {}
    for row in payers_first(rows):
        if row["settled_at"] is not None:
            pix = _pix(row)
            known = found.setdefault(pix.end_to_end_id, pix)
            if pix.returned > known.returned:
                found[pix.end_to_end_id] = replace(known, returned=pix.returned)
    return list(found.values())


def payers_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of `life` with those of the payer's side first."""
    return sorted(rows, key=lambda row: row["side"] != "PAYER")


def _pix(row: Mapping[str, Any]) -> Pix:
    return Pix(
        row["end_to_end_id"],
        row["payer_id"],
        row["payee_id"],
        _centavos(row["amount"]),
        _centavos(row["returned_amount"]),
        micros(row["settled_at"]),
        row["decision"],
    )


def _centavos(amount: Decimal | None) -> int:
    return 0 if amount is None else round(amount * 100)


def _moment(at: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=at)
