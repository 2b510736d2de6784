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

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before scikit-learn: waiting threads would take our cores

import msgspec

from infra.local.errors import LocalCloudError
from tests.benchmarks.pull.run import STORES, measured
from tests.benchmarks.speed.testbed import NotAnswered


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
