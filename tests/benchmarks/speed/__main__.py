"""Measure the deployed score function and two peers with the same model on the same core.

    nice -n -15 .venv/bin/python -m tests.benchmarks.speed
    .venv/bin/python -m tests.benchmarks.speed --only memory,tutorial --seconds 4 --transactions 200000
    git worktree add ../before REVISION
    nice -n -15 .venv/bin/python -m tests.benchmarks.speed --baseline ../before --only baseline

The measured server is pinned to core 0; everything else runs on core 1. Progress goes to standard error, the table
and a line of JSON to standard output.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before scikit-learn: waiting threads would take our cores

import msgspec

from infra.local.errors import LocalCloudError
from tests.benchmarks.speed import events, model
from tests.benchmarks.speed.course import progress
from tests.benchmarks.speed.measure import Bench
from tests.benchmarks.speed.outcomes import Outcomes
from tests.benchmarks.speed.process import LOAD_CORE
from tests.benchmarks.speed.report import Result, summary, table
from tests.benchmarks.speed.revision import NotARevision, Revision
from tests.benchmarks.speed.testbed import NotAnswered, Testbed

PARTS = ("memory", "reasons", "shadow", "metrics", "valkey", "outcomes", "decide", "bqemulator", "tutorial", "mlflow")
BASELINE = "baseline"


def run(parts: Sequence[str], seconds: float, transactions: int, baseline: Revision | None) -> Result:
    """Prepare the testbed, measure each part and return the results."""
    with tempfile.TemporaryDirectory(prefix="bench-speed-") as home, Testbed(Path(home)) as testbed:
        progress(f"preparing {transactions:,} transactions ...")
        path = Path(home) / "requests.bin"
        prepared = baseline.prepare(path, transactions) if baseline else events.prepare(path, transactions)
        outcomes = Outcomes.prepare(Path(home) / "outcomes.bin", prepared, seconds)
        progress("training ...")
        trained = model.train()
        testbed.publish(trained.bundle)
        if baseline:
            testbed.publish(baseline.train(Path(home) / "bundle"), baseline)
        os.sched_setaffinity(0, {LOAD_CORE})  # the collector of metrics runs in this process
        bench = Bench(testbed, prepared, outcomes, seconds)
        result = Result(prepared)
        needed: dict[str, list[Any]] = {
            "reasons": [trained],
            "shadow": [trained],
            "tutorial": [trained],
            "mlflow": [trained],
            BASELINE: [baseline],
        }
        for part in parts:
            progress(f"{part} ...")
            setattr(result, part, getattr(bench, part)(*needed.get(part, [])))
    return result


def main() -> int:
    """Print the table and the JSON; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed",
        description=__doc__.partition("\n")[0],
    )
    add = parser.add_argument
    add(
        "--only",
        metavar="PARTS",
        help=f"comma-separated subset of {','.join(PARTS)} and, with --baseline, {BASELINE}",
    )
    add(
        "--baseline",
        type=Path,
        metavar="DIR",
        help="compare with the revision in DIR, a checkout with this benchmark, run by its .venv if it has one; all"
        " parts take the transactions of its simulator",
    )
    add("--seconds", type=float, default=10.0, metavar="S", help="length of a measurement (default: %(default)s)")
    add(
        "--transactions",
        type=int,
        default=1_000_000,
        metavar="N",
        help="number with state in memory (default: %(default)s)",
    )
    options = parser.parse_args()
    baseline = Revision(options.baseline.resolve(), "-before") if options.baseline else None
    possible = (BASELINE, *PARTS) if baseline else PARTS
    parts = options.only.split(",") if options.only else possible
    if unknown := set(parts) - set(possible):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed: one for the measured server, one for the load")
    try:
        result = run(parts, options.seconds, options.transactions, baseline)
    except (LocalCloudError, NotAnswered, NotARevision) as error:
        print(f"bench-speed: {error}", file=sys.stderr)
        return 1
    print(table(result))
    print(msgspec.json.encode(summary(result)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
