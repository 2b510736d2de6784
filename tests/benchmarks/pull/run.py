"""Push and pull measured with state in memory and in Valkey: the function for other benchmarks to call."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.capacity.figures import prices
from tests.benchmarks.pull.measure import figures, in_turns
from tests.benchmarks.speed import events, model
from tests.benchmarks.speed.course import progress
from tests.benchmarks.speed.process import LOAD_CORE
from tests.benchmarks.speed.testbed import Testbed

STORES = ("memory", "valkey")


def measured(stores: Sequence[str], seconds: float, transactions: int) -> dict[str, dict[str, float]]:
    """Return push_tx_per_s, pull_tx_per_s, usd_per_million_pull and more, by store. Raises NotAnswered."""
    with tempfile.TemporaryDirectory(prefix="bench-pull-") as home, Testbed(Path(home)) as testbed:
        progress(f"preparing {transactions:,} transactions ...")
        prepared = events.prepare(Path(home) / "requests.bin", transactions)
        progress("training ...")
        testbed.publish(model.train().bundle)
        os.sched_setaffinity(0, {LOAD_CORE})
        found = {}
        for store in stores:
            progress(f"{store} ...")
            fed = in_turns(testbed, prepared, seconds, in_valkey=store == "valkey")
            rows = testbed.counts()
            found[store] = figures(fed, prepared, rows.row_bytes / rows.rows, prices())
    return found
