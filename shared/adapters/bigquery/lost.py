"""`shared.ports.LostPlaces` in the table `lost_places`."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.event import micros
from shared.contract.rows import LostRow
from shared.contract.tables import lost
from shared.errors import Misconfigured
from shared.features.places import Epoch
from shared.ports import Queries


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
        asyncio.run(self._append([LostRow(each.epoch, each.kept, now, each.shard) for each in epochs]))

    async def _append(self, rows: list[LostRow]) -> None:
        table = self._open_table()
        try:
            if await table.append(rows):
                raise Misconfigured("the table lost_places refuses rows; apply its schema")
        finally:
            await table.close()
