"""Empty tables, exported without a file for a query without rows."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shared.replay.tables import StoredTables


class EmptyExports:
    """Exports of queries without rows: only the query of counts has one."""

    def staged(self, name: str, folder: Path) -> Iterator[Path]:
        if name.endswith("/counts"):
            file = folder / "counts.parquet"
            pq.write_table(pa.table({"row_count": [0], "placed": [0], "last_place": [None]}), file)
            yield file


def test_a_replay_of_empty_tables_has_no_rows(tmp_path: Path) -> None:
    source = StoredTables(EmptyExports(), "bank", "pix").source("run", tmp_path)  # type: ignore[arg-type]  # it is only asked for staged files
    (last,) = source.batches(0)
    assert (last.rows.num_rows, len(last.chunk.facts), last.place) == (0, 0, 0)
    assert (source.total, source.reports, source.verdicts.values) == (0, 0, {})
