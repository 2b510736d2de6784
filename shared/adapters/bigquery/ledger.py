"""`shared.learning.ports.Ledger` in `pix.model_ledger`: appended by the Storage Write API, read by a query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from shared.adapters.bigquery.blocking import append_rows
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.rows import LedgerRow
from shared.contract.stored import stored
from shared.errors import Unavailable


class BigQueryLedger:
    """The ledger at `address`, `project.dataset.table`; `open_table` opens the table to append to."""

    def __init__(self, queries: BigQueryQueries, address: str, open_table: Callable[[], BigQueryTable]) -> None:
        self._queries = queries
        self._address = address
        self._open_table = open_table

    def append(self, row: LedgerRow) -> None:
        """Append a row. Raises Unavailable."""
        if append_rows(self._open_table, [row]):
            raise Unavailable(f"BigQuery refuses a row of {self._address}: its schema is not the contract's")

    def rows(self, since: dt.datetime) -> list[LedgerRow]:
        """Return the rows recorded since then, oldest first, without duplicates.

        Raises Unavailable, Misconfigured.
        """
        sql = (
            f"SELECT DISTINCT {', '.join(LedgerRow.__struct_fields__)} FROM `{self._address}` "  # noqa: S608 (names of ours)
            "WHERE recorded_at >= @since ORDER BY recorded_at"
        )
        found = self._queries.rows(sql, {"since": since})
        return [stored(LedgerRow, "model_ledger", row) for row in found]
