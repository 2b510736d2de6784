"""`shared.desk.ports.Watch` by queries, each in a thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from shared.adapters.bigquery.desk.threads import QueryThreads
from shared.contract.rows import HealthRow, LedgerRow
from shared.contract.stored import stored
from shared.contract.tables import measured
from shared.ports.tables import Queries


class BigQueryWatch:
    """The rows of health and of the ledger in a dataset."""

    def __init__(self, queries: Queries, project: str, dataset: str, threads: QueryThreads) -> None:
        self._queries, self._threads = queries, threads
        self._dataset, self._ledger = (project, dataset), recent_moves(project, dataset)

    async def health(self, since: dt.datetime, measures: Sequence[str]) -> Sequence[HealthRow]:
        """Return some measures of days from `since` on. Raises Unavailable, Misconfigured."""
        sql = measured(*self._dataset, measures)
        rows = await self._threads.run(self._queries.rows, sql, {"since": since})
        return [stored(HealthRow, "health", row) for row in rows]

    async def ledger(self, most: int) -> Sequence[LedgerRow]:
        """Return the latest events of models, latest first. Raises Unavailable, Misconfigured."""
        rows = await self._threads.run(self._queries.rows, self._ledger, {"most": most})
        return [stored(LedgerRow, "model_ledger", row) for row in rows]


def recent_moves(project: str, dataset: str) -> str:
    """Return the GoogleSQL of the latest @most rows of the ledger, each once."""
    names = ", ".join(LedgerRow.__struct_fields__)
    return (
        f"SELECT DISTINCT {names} FROM `{project}.{dataset}.model_ledger` "  # noqa: S608 (names of our own)
        "ORDER BY recorded_at DESC LIMIT @most"
    )
