"""`shared.ports.decisions.Lookup` in BigQuery. BIGQUERY_EMULATOR_HOST redirects the client to an emulator."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from google.cloud import bigquery

from shared.adapters.bigquery.in_time import QueriesInTime
from shared.contract.tables import under_key
from shared.ports.decisions import Parties

T = TypeVar("T")

_DAY = dt.timedelta(days=1)
_DATE = slice(9, 17)  # yyyyMMdd within an EndToEndId
FAR_DAYS = 400
"""Days before now in which a Pix is searched that was not initiated on the day in its id: those of a year's schedule,
and of the time in which it can be reported."""
FAR_SECONDS = 3600.0
"""Seconds until an id that was not found far from its day is searched there again: a message comes back sooner."""
_MISSED_MAX = 10_000


class BigQueryLookup:
    """Parties of scored transactions, by one query for each batch of ids.

    A transaction is first searched on the day in its EndToEndId, in UTC, and the days before and after: the id is
    made when the Pix is submitted, which may be on the other side of midnight. So that query reads three partitions
    for each day in the ids, and of those, by clustering, only the blocks with these ids. A scheduled Pix may have the
    id of another day; only those that were not found are searched in all partitions of FAR_DAYS.
    """

    def __init__(
        self,
        client: bigquery.Client,
        project: str,
        dataset: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        hmac_key: str | None = None,
    ) -> None:
        """Wait at most `seconds` for each answer. Ids are under the HMAC key with the fingerprint `hmac_key`."""
        self._hmac_key = hmac_key
        self._queries = QueriesInTime(client, "scored transactions", seconds)
        self._dataset = f"{project}.{dataset}"
        self._clock = clock
        self._missed: dict[str, float] = {}

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each known transaction and return. Queries run in a thread. Raises Unavailable."""
        return await self._in_time(self._parties, sorted(set(end_to_end_ids)))

    async def reported(self, report_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the EndToEndIds of the Pix of each known infraction report. Raises Unavailable."""
        return await self._in_time(self._reported, sorted(set(report_ids)))

    async def _in_time(self, query: Callable[[list[str]], Mapping[str, T]], ids: list[str]) -> Mapping[str, T]:
        return await self._queries.run(1, query, ids) if ids else {}

    def _rows(self, sql: str, ids: list[str]) -> list[tuple[Any, ...]]:
        """Return the rows of a query for the parameter @ids, by position. Raises Unavailable."""
        return [tuple(row.values()) for row in self._queries.rows_of(sql, ids)]

    def _parties(self, ids: list[str]) -> dict[str, Parties]:
        found = self._scored(ids)
        returns = [id_ for id_ in ids if id_ not in found and id_.startswith("D")]
        if not returns:
            return found
        rows = self._rows(returns_statement(f"{self._dataset}.outcomes", returns), returns)
        original = {str(return_id): str(end_to_end_id) for return_id, end_to_end_id in rows}
        paid = self._scored(sorted(set(original.values())))
        for id_, of in original.items():
            if of in paid:
                payer, payee, device = paid[of]
                found[id_] = Parties(payee, payer, device)
        return found

    def _scored(self, ids: list[str]) -> dict[str, Parties]:
        if not ids:
            return {}
        table = f"{self._dataset}.score_events"
        found = {row[0]: Parties(*row[1:]) for row in self._rows(statement(table, ids, self._hmac_key), ids)}
        if left := [id_ for id_ in ids if id_ not in found and self._may_be_far(id_)]:
            found |= {row[0]: Parties(*row[1:]) for row in self._rows(far_statement(table, self._hmac_key), left)}
            self._miss(id_ for id_ in left if id_ not in found)
        return found

    def _may_be_far(self, id_: str) -> bool:
        """Return whether to search an id in all partitions; returns are never far from their day."""
        return id_.startswith("E") and self._clock() >= self._missed.get(id_, 0.0)

    def _miss(self, ids: Iterable[str]) -> None:
        if len(self._missed) > _MISSED_MAX:
            self._missed.clear()
        self._missed |= dict.fromkeys(ids, self._clock() + FAR_SECONDS)

    def _reported(self, ids: list[str]) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for report_id, end_to_end_id in self._rows(reports_statement(f"{self._dataset}.feedback"), ids):
            found.setdefault(report_id, set()).add(end_to_end_id)
        return {report_id: frozenset(each) for report_id, each in found.items()}


def statement(table: str, ids: Iterable[str], hmac_key: str | None = None) -> str:
    """Return the GoogleSQL that finds the parameter @ids in the partitions of the days of `ids`."""
    return _parties_where(table, found_where(ids), hmac_key)


def found_where(ids: Iterable[str]) -> str:
    """Return the condition that a row is of the parameter @ids, in the partitions of the days of `ids`."""
    return f"end_to_end_id IN UNNEST(@ids) AND ({_near('initiated_at', ids)})"


def far_statement(table: str, hmac_key: str | None = None) -> str:
    """Return the GoogleSQL that finds the parameter @ids in the partitions of FAR_DAYS."""
    far = f"initiated_at >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL {FAR_DAYS} DAY)"
    return _parties_where(table, f"end_to_end_id IN UNNEST(@ids) AND {far}", hmac_key)


def returns_statement(table: str, ids: Iterable[str]) -> str:
    """Return the GoogleSQL of the Pix that are paid back by the returns in the parameter @ids."""
    return (
        f"SELECT return_id, MIN(end_to_end_id) FROM `{table}` "  # noqa: S608 (dates and a table name of ours)
        f"WHERE return_id IN UNNEST(@ids) AND ({_near('`at`', ids)}) GROUP BY return_id"
    )


def reports_statement(table: str) -> str:
    """Return the GoogleSQL of the Pix that are named by the infraction reports in the parameter @ids."""
    return (
        f"SELECT DISTINCT report_id, end_to_end_id FROM `{table}` "  # noqa: S608 (a table name of ours)
        "WHERE source = 'MED' AND report_id IN UNNEST(@ids) AND end_to_end_id IS NOT NULL"
    )


def _parties_where(table: str, condition: str, hmac_key: str | None) -> str:
    """Return the GoogleSQL of the parties of a Pix; only its payer's side knows the device."""
    parties = ", ".join(f"MIN({under_key(name, hmac_key)})" for name in ("payer_id", "payee_id", "device_id"))
    return f"SELECT end_to_end_id, {parties} FROM `{table}` WHERE {condition} GROUP BY end_to_end_id"  # noqa: S608 (dates and a table name of ours)


def _near(column: str, ids: Iterable[str]) -> str:
    return " OR ".join(
        f"{column} >= TIMESTAMP '{first}' AND {column} < TIMESTAMP '{last + _DAY}'" for first, last in _spans(ids)
    )


def _spans(ids: Iterable[str]) -> list[tuple[dt.date, dt.date]]:
    """Return the first and last day of each unbroken run of days within a day of those in the ids.

    >>> _spans(["E1234567820261120", "E1234567820261122"])
    [(datetime.date(2026, 11, 19), datetime.date(2026, 11, 23))]
    """
    spans: list[tuple[dt.date, dt.date]] = []
    for day in sorted({dt.date.fromisoformat(id_[_DATE]) for id_ in ids}):
        first, last = day - _DAY, day + _DAY
        if spans and first <= spans[-1][1] + _DAY:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans
