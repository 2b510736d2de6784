"""Measure the score function fed by push and by pull, in turns on one core, with state in memory and in Valkey.

    nice -n -15 .venv/bin/python -m tests.benchmarks.pull
    .venv/bin/python -m tests.benchmarks.pull --only valkey --seconds 4 --transactions 300000

Function and worker are pinned to core 0; load, Pub/Sub, Valkey and BigQuery are on core 1. The Pub/Sub of the worker
streams prepared messages and counts acknowledgements. Progress goes to standard error, a line of JSON to standard
output.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before scikit-learn: waiting threads would take our cores

import msgspec

from infra.capacity.figures import prices
from infra.local.errors import LocalCloudError
from tests.benchmarks.pull.measure import figures, in_turns
from tests.benchmarks.speed import events, model
from tests.benchmarks.speed.course import progress
from tests.benchmarks.speed.process import LOAD_CORE
from tests.benchmarks.speed.testbed import NotAnswered, Testbed

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


def main() -> int:
    """Print the JSON; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pull", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--only", metavar="STORES", default=",".join(STORES), help="comma-separated stores (default: %(default)s)")
    add("--seconds", type=float, default=10.0, metavar="S", help="length of two turns (default: %(default)s)")
    add("--transactions", type=int, default=1_000_000, metavar="N", help="transactions (default: %(default)s)")
    options = parser.parse_args()
    stores = options.only.split(",")
    if unknown := set(stores) - set(STORES):
        parser.error(f"no such store: {', '.join(sorted(unknown))}")
    try:
        found = measured(stores, options.seconds, options.transactions)
    except (LocalCloudError, NotAnswered) as error:
        print(f"bench-pull: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
