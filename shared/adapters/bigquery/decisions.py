"""`shared.ports.decisions.DecisionLookup` in `pix.score_events`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.cloud import bigquery

from shared.adapters.bigquery.in_time import QueriesInTime
from shared.contract.decision import Decided, instant
from shared.contract.end_to_end_id import minute_of
from shared.contract.event import micros
from shared.contract.tables import first, timestamp
from shared.contract.transaction import ID_TOLERANCE
from shared.ports.decisions import Sought, StoredDecision

Period = tuple[dt.datetime, dt.datetime]
_NEAR = dt.timedelta(microseconds=1)
_COLUMNS = (
    *Decided.__struct_fields__,
    *("amount", "payer_id", "payee_id", "hmac_key_version"),
)


class BigQueryDecisions:
    """Stored decisions, by one query of the partitions of the Pix, of which clustering leaves the blocks with ids."""

    def __init__(self, client: bigquery.Client, project: str, dataset: str, seconds: float) -> None:
        """Wait at most `seconds` for each answer."""
        self._queries = QueriesInTime(client, "a decision", seconds)
        self._place = (project, dataset)

    async def decisions(self, sought: Sequence[Sought]) -> list[StoredDecision | None]:
        """Return the first decision of each, None if there is none. Raises Unavailable."""
        sql = decisions_statement(*self._place, sought)
        ids = sorted({each.end_to_end_id for each in sought})
        rows = await self._queries.run(1, self._queries.rows_of, sql, ids) if sql else []
        found = {(row["end_to_end_id"], row["side"] or "PAYER"): stored_decision(row) for row in rows}
        return [found.get((each.end_to_end_id, each.side)) for each in sought]


def decisions_statement(project: str, dataset: str, sought: Iterable[Sought]) -> str | None:
    """Return the GoogleSQL of the first decisions about the Pix @ids, None without a time to look at.

    The times are literals, by which BigQuery prunes partitions.
    """
    periods = _joined(period for each in sought for period in _periods(each))
    if not periods:
        return None
    within = " OR ".join(
        f"(initiated_at >= {timestamp(since)} AND initiated_at < {timestamp(until)})" for since, until in periods
    )
    which = f"end_to_end_id IN UNNEST(@ids) AND ({within})"
    rows = first(project, dataset, timestamp(max(until for _, until in periods)), which, _COLUMNS)
    return f"SELECT {', '.join(_COLUMNS)} FROM ({rows}) AS decided"  # noqa: S608 (names of our own)


def _periods(sought: Sought) -> Iterator[Period]:
    if (minute := minute_of(sought.end_to_end_id)) is not None:
        yield minute - ID_TOLERANCE, minute + ID_TOLERANCE + _NEAR
    if sought.initiated_at is not None:
        yield instant(sought.initiated_at), instant(sought.initiated_at) + _NEAR


def _joined(periods: Iterable[Period]) -> list[Period]:
    """Return periods in order, those that meet as one."""
    joined: list[Period] = []
    for since, until in sorted(periods):
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((since, until))
    return joined


def stored_decision(row: Mapping[str, Any]) -> StoredDecision:
    """Return the decision in a row of the statement."""
    return StoredDecision(
        decided_of(row), round(row["amount"] * 100), row["payer_id"], row["payee_id"], row["hmac_key_version"]
    )


def decided_of(row: Mapping[str, Any]) -> Decided:
    """Return the decision in a row with its columns, as a query answers it."""
    until = row["hold_until"]
    given = {name: row[name] for name in Decided.__struct_fields__}
    given |= {"side": row["side"] or "PAYER", "reasons": list(row["reasons"] or ())}
    given |= {"hold_until": None if until is None else micros(until), "scored_at": micros(row["scored_at"])}
    return Decided(**given)
