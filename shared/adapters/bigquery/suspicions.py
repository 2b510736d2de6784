"""`shared.desk.ports.SuspicionRows` in `pix.suspicions`: appended by the Storage Write API, read by a query."""

from __future__ import annotations

from collections.abc import Callable

from shared.adapters.bigquery.blocking import append_rows
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.rows import SuspicionRow
from shared.contract.stored import stored
from shared.errors import RowRefused
from shared.ports.tables import Queries

NAME = "suspicions"


class BigQuerySuspicions:
    """The rows in a dataset; `open_table` opens the table to append to."""

    def __init__(self, queries: Queries, project: str, dataset: str, open_table: Callable[[], BigQueryTable]) -> None:
        self._queries = queries
        self._address = f"{project}.{dataset}.{NAME}"
        self._open_table = open_table

    def append(self, row: SuspicionRow) -> None:
        """Append a row. Raises Unavailable, RowRefused."""
        if append_rows(self._open_table, [row]):
            raise RowRefused("pix.suspicions refuses the row")

    def rows(self, account_id: str | None) -> list[SuspicionRow]:
        """Return the rows of an account, or all. Raises Unavailable, Misconfigured."""
        return suspicion_rows(self._queries, self._address, account_id)


def suspicion_rows(queries: Queries, address: str, account_id: str | None = None) -> list[SuspicionRow]:
    """Return the rows of table `address` about an account, or all. Raises Unavailable, Misconfigured."""
    given = {} if account_id is None else {"account": account_id}
    found = queries.rows(suspicions_statement(address, account_id is not None), given)
    return [stored(SuspicionRow, NAME, row) for row in found]


def suspicions_statement(address: str, of_account: bool) -> str:
    """Return the query of the rows of table `address`, those of @account or all, in order of time and once each."""
    which = "account_id = @account" if of_account else "TRUE"  # QUALIFY needs a WHERE
    return (
        f"SELECT * FROM `{address}` WHERE {which} "  # noqa: S608 (names of our own)
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY `at`) = 1 ORDER BY `at`, event_id"
    )
