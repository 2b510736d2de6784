"""Decisions that no training can learn from, as nothing shows whether they were right: counted for the model card."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec
from msgspec import Struct

from shared.contract.tables import query, timestamp
from shared.ports import Queries

Reason = Literal["UNPAID", "ENDED", "OPEN"]
"""Why a matured row has no label: it was stopped and nobody reviewed it; it was stopped, and a report about it came
to nothing; a report about it is still open."""


class Unlabelled(Struct, frozen=True):
    """Matured rows of a side without a label, by their decision; `rows` have no label of `decided` rows in all."""

    side: str
    decision: str
    reason: Reason
    rows: int
    decided: int


def unlabelled(
    queries: Queries, project: str, dataset: str, maturity_days: float, since: dt.datetime, as_of: dt.datetime
) -> list[Unlabelled]:
    """Return the rows from `since` on that were matured and without a label at `as_of`. Raises Unavailable."""
    sql = unlabelled_sql(project, dataset, maturity_days, since, as_of)
    return [msgspec.convert(row, Unlabelled) for row in queries.rows(sql, {})]


def unlabelled_sql(project: str, dataset: str, maturity_days: float, since: dt.datetime, as_of: dt.datetime) -> str:
    """Return the query of the rows without a label, by side, decision and reason, the most first."""
    hours, now = round(24 * maturity_days), timestamp(as_of)
    labels = query("labels", project, dataset, maturity_days, now)
    scores = query("scores", project, dataset, maturity_days, now)
    return (
        "SELECT side, decision, reason, COUNT(*) AS `rows`, ANY_VALUE(decided) AS decided FROM ("  # noqa: S608 (SQL of the contract)
        "SELECT scored.side, scored.decision, COUNT(*) OVER (PARTITION BY scored.side, scored.decision) AS decided, "
        "CASE WHEN labels.verdict = 'PENDING' THEN 'OPEN' WHEN labels.verdict_source = 'UNPAID' THEN 'UNPAID' "
        "WHEN labels.verdict = 'UNKNOWN' THEN 'ENDED' END AS reason "
        f"FROM (SELECT end_to_end_id, side, initiated_at, decision FROM ({scores}) AS scores) AS scored "
        f"LEFT JOIN ({labels}) AS labels "
        "ON labels.end_to_end_id = scored.end_to_end_id AND labels.side = scored.side "
        f"WHERE scored.initiated_at >= {timestamp(since)} "
        f"AND scored.initiated_at <= TIMESTAMP_SUB({now}, INTERVAL {hours} HOUR)"
        ") AS found WHERE reason IS NOT NULL GROUP BY side, decision, reason "
        "ORDER BY `rows` DESC, side, decision, reason"
    )
