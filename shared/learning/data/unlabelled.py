"""Decisions counted by whether they have a label: no training can learn from those without one.

Nothing shows whether they were right. The counts are for the model card, and for the weights of the others.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from shared.contract.tables import query, timestamp
from shared.ports.tables import Queries

Reason = Literal["UNPAID", "ENDED", "OPEN"]
"""Why a matured row has no label: it was stopped and nobody reviewed it; it was stopped, and a report about it came
to nothing; a report about it is still open."""


class DecisionCount(Struct, frozen=True):
    """The number of matured rows of a side that were decided alike; `reason` is None for those with a label.

    `policy` is the decision of the policy, which the control group may have made milder.
    """

    side: str
    decision: str
    policy: str
    reason: Reason | None
    rows: int


class Unlabelled(Struct, frozen=True):
    """Matured rows of a side without a label, by their decision; `rows` have no label of `decided` rows in all."""

    side: str
    decision: str
    reason: Reason
    rows: int
    decided: int


def unlabelled(counts: Sequence[DecisionCount]) -> list[Unlabelled]:
    """Return the rows without a label, the most first.

    >>> [one] = unlabelled([DecisionCount("PAYER", "HOLD", "REJECT", "UNPAID", 2),
    ...                     DecisionCount("PAYER", "HOLD", "HOLD", None, 3)])
    >>> one.rows, one.decided
    (2, 5)
    """
    decided, lacking = Counter[tuple[str, str]](), Counter[tuple[str, str, Reason]]()
    for one in counts:
        decided[one.side, one.decision] += one.rows
        if one.reason is not None:
            lacking[one.side, one.decision, one.reason] += one.rows
    found = [Unlabelled(*key, rows, decided[key[:2]]) for key, rows in lacking.items()]
    return sorted(found, key=lambda one: (-one.rows, one.side, one.decision, one.reason))


def decision_counts(
    queries: Queries, project: str, dataset: str, maturity_days: float, since: dt.datetime, as_of: dt.datetime
) -> list[DecisionCount]:
    """Return the rows from `since` on that were matured at `as_of`. Raises Unavailable."""
    sql = counts_sql(project, dataset, maturity_days, since, as_of)
    return [msgspec.convert(row, DecisionCount) for row in queries.rows(sql, {})]


def counts_sql(project: str, dataset: str, maturity_days: float, since: dt.datetime, as_of: dt.datetime) -> str:
    """Return the query of the numbers of rows by side, decision, decision of the policy, and reason."""
    hours, now = round(24 * maturity_days), timestamp(as_of)
    labels = query("labels", project, dataset, maturity_days, now)
    scores = query("scores", project, dataset, maturity_days, now)
    return (
        "SELECT side, decision, policy, reason, COUNT(*) AS `rows` FROM ("  # noqa: S608 (SQL of the contract)
        "SELECT scored.side, scored.decision, scored.policy, "
        "CASE WHEN labels.verdict = 'PENDING' THEN 'OPEN' WHEN labels.verdict_source = 'UNPAID' THEN 'UNPAID' "
        "WHEN labels.verdict = 'UNKNOWN' THEN 'ENDED' END AS reason "
        "FROM (SELECT end_to_end_id, side, initiated_at, decision, COALESCE(policy_decision, decision) AS policy "
        f"FROM ({scores}) AS scores) AS scored LEFT JOIN ({labels}) AS labels "
        "ON labels.end_to_end_id = scored.end_to_end_id AND labels.side = scored.side "
        f"WHERE scored.initiated_at >= {timestamp(since)} "
        f"AND scored.initiated_at <= TIMESTAMP_SUB({now}, INTERVAL {hours} HOUR)"
        ") AS found GROUP BY side, decision, policy, reason ORDER BY side, decision, policy, reason"
    )
