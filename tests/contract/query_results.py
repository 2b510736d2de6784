"""Results of queries in memory, staged and read as Parquet files as those of a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.contract.local_servers import LocalBigQuery


class QueryResults:
    """`shared.ports.tables.StagedExports` over the local BigQuery."""

    def __init__(self, local: LocalBigQuery) -> None:
        self._client = local.client
        self._rows: dict[str, pa.Table] = {}

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Return the file of a query's rows."""
        self.stage(sql, "once")
        return list(self.staged("once", folder))

    def stage(self, sql: str, name: str) -> None:
        """Keep the rows of a query under a name."""
        self._rows[name] = self._client.query(sql).result().to_arrow(create_bqstorage_client=False)

    def staged(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield the file of the rows under a name."""
        file = folder / "rows.parquet"
        pq.write_table(self._rows[name], file)
        yield file

    def clear(self, name: str) -> None:
        """Forget the rows under names that begin so."""
        self._rows = {each: rows for each, rows in self._rows.items() if not each.startswith(name)}
