"""Bulk loads, as in a replay: a load repeated after a crash adds no row twice."""

import io
import uuid

import pyarrow.parquet as pq

from infra.local.cloud import LocalCloud
from jobs.cli import wiring
from shared.contract.rows import QuarantineRow
from shared.contract.tables import table
from shared.replay.arrow_rows import arrow_table
from tests.functions.world import ask


def test_a_repeated_load_adds_no_row_twice(cloud: LocalCloud) -> None:
    run = uuid.uuid4().hex
    rows = [QuarantineRow(1_795_000_000_000_000 + i, "bulk", "too_large", run, i) for i in range(3)]
    file = io.BytesIO()
    pq.write_table(arrow_table(table("quarantine"), rows), file)
    for _ in range(2):
        load = wiring.bulk_load(cloud.settings, "quarantine", run)
        load.put(0, b"left by an interrupted replay")
        load.put(0, file.getvalue())
        load.finish(1)
    found = ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine WHERE payload_hash = @run", run=run)
    assert found[0].n == 3
