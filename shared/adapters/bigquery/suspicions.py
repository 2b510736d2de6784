"""`shared.desk.ports.SuspicionRows` in `pix.suspicions`: appended by the Storage Write API, read by a query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from shared.adapters.bigquery.blocking import append_rows
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.rows import SuspicionRow
from shared.contract.stored import stored
from shared.contract.suspicion import SuspicionEvent
from shared.errors import RowRefused
from shared.ports.tables import Parameter, Queries

NAME = "suspicions"
_FIRST = "ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY `at`) = 1"


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
        given = {} if account_id is None else {"account": account_id}
        return _rows(self._queries, suspicions_statement(self._address, account_id is not None), given)


def rows_in_force(queries: Queries, address: str, now: dt.datetime) -> list[SuspicionRow]:
    """Return the rows of table `address` about suspicions that are in force. Raises Unavailable, Misconfigured.

    Those that an extension has shortened may be among them until the former end.
    """
    return _rows(queries, in_force_statement(address), {"now": now})


def suspicions_statement(address: str, of_account: bool) -> str:
    """Return the query of the rows of table `address`, those of @account or all, in order of time and once each."""
    which = "account_id = @account" if of_account else "TRUE"  # QUALIFY needs a WHERE
    return (
        f"SELECT * FROM `{address}` WHERE {which} "  # noqa: S608 (names of our own)
        f"QUALIFY {_FIRST} ORDER BY `at`, event_id"
    )


def in_force_statement(address: str) -> str:
    """Return the query of the rows of suspicions that are not lifted and do not end before @now."""
    return (
        f"SELECT * FROM `{address}` WHERE TRUE "  # noqa: S608 (names of our own)
        f"QUALIFY {_FIRST} AND LOGICAL_AND(event != '{SuspicionEvent.LIFTED}') OVER of_one "
        "AND MAX(expires_at) OVER of_one > @now "
        "WINDOW of_one AS (PARTITION BY suspicion_id) ORDER BY `at`, event_id"
    )


def _rows(queries: Queries, statement: str, given: Mapping[str, Parameter]) -> list[SuspicionRow]:
    return [stored(SuspicionRow, NAME, row) for row in queries.rows(statement, given)]
