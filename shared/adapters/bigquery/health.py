"""`shared.learning.monitoring.monitor.HealthRows` in `pix.health`, appended by the Storage Write API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.adapters.bigquery.blocking import append_rows
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.rows import HealthRow
from shared.errors import RowRefused


class BigQueryHealth:
    """The table; `open_table` opens it to append to."""

    def __init__(self, open_table: Callable[[], BigQueryTable]) -> None:
        self._open_table = open_table

    def append(self, rows: Sequence[HealthRow]) -> None:
        """Append rows in one request. Raises Unavailable, RowRefused if the table takes not all of them."""
        if append_rows(self._open_table, rows):
            raise RowRefused("pix.health refuses the rows")
