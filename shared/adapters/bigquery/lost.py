"""`shared.ports.places.LostPlaces` in the table `lost_places`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from shared.adapters.bigquery.blocking import append_rows
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.event import micros
from shared.contract.rows import LostRow
from shared.contract.tables import lost
from shared.errors import Misconfigured
from shared.features.places import Epoch
from shared.ports.tables import Queries


class BigQueryLostPlaces:
    """The ends of epochs in a dataset."""

    def __init__(
        self,
        queries: Queries,
        project: str,
        dataset: str,
        open_table: Callable[[], BigQueryTable],
        now: Callable[[], dt.datetime],
    ) -> None:
        """`open_table` connects to the table within the event loop that appends."""
        self._queries = queries
        self._sql = lost(project, dataset)
        self._open_table = open_table
        self._now = now

    def noted(self) -> Mapping[int, int]:
        """Return the number of the last kept change by `Epoch.part`. Raises Unavailable, Misconfigured."""
        return {int(row["part"]): int(row["kept"]) for row in self._queries.rows(self._sql, {})}

    def note(self, epochs: Sequence[Epoch]) -> None:
        """Append a row for each epoch. Raises Unavailable, Misconfigured."""
        now = micros(self._now())
        rows = [LostRow(each.epoch, each.kept, now, each.shard) for each in epochs]
        if append_rows(self._open_table, rows):
            raise Misconfigured("the table lost_places refuses rows; apply its schema")
