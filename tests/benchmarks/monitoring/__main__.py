"""Measure jobs.monitor on a day of many Pix, and at each age of its labels: `make bench-monitor`.

A small day, scored by a champion with its profile, is multiplied in the local BigQuery to this many rows, each a Pix
with an outcome of its own; reports have their share of production (`reports_per_pix` of infra/capacity). Other days
have no rows. Each run is a process of its own, as the schedule starts it, about one day more: `none` about days
without rows, then `day` about the traffic and inputs of the day, then one for each age of its labels.

The local BigQuery, DuckDB in one process, runs on the same cores, so seconds are mostly its own: production has many
machines. The job's processor time and memory are as in production. The last line of standard output is the result as
JSON.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
from msgspec import Struct

from infra.capacity.figures import known
from infra.local.cloud import LocalCloud
from shared.learning.lifecycle.pointer import publish
from shared.learning.monitoring.ladder import AGES
from shared.scoring.bundle import POINTER, Pointer
from tests.benchmarks.monitoring.multiplied import multiply
from tests.benchmarks.monitoring.seed import MEASURED, seed_day
from tests.benchmarks.proc import peak_mb, processor_seconds
from tests.benchmarks.retraining import Measured

DAY = dt.timedelta(days=1)
DUE = dt.timedelta(hours=7)
"""Time after a day's end of the nightly run."""
WITHOUT = "none"
MEMORY = "6GB"
"""Of the tables and queries of the local BigQuery, beside its own."""


class Run(Struct):
    """A run of the job."""

    seconds: float
    job_processor_seconds: float
    job_peak_mb: int
    bigquery_processor_seconds: float
    rows: int
    """Rows appended to `pix.health`."""


class Result(Struct):
    """The result: the rows of `score_events`, outcomes and reports, the runs, and the sums of those about the day."""

    rows: int
    outcomes: int
    reports: int
    fill_seconds: float
    stored_bytes: int
    runs: dict[str, Run]
    bigquery_peak_mb: int
    seconds: float
    job_processor_seconds: float
    job_peak_mb: int
    health_rows: int


def measured(rows: int, pix: int, ages: Sequence[int], folder: Path) -> Result:
    """Return the figures of a day of about `rows` rows, copies of at most `pix`, and of its labels at these ages.

    `folder` holds the files.
    """
    copies = -(-rows // pix)
    _say(f"a champion and {rows // copies:,} Pix ...")
    seed = seed_day(rows // copies, folder)
    cloud = LocalCloud(folder / "cloud", pubsub="embedded", persistent=True, bigquery_memory=MEMORY)
    with cloud:
        models = cloud.models()
        publish(models, seed.version, seed.bundle)
        models.write(POINTER, msgspec.json.encode(Pointer(seed.version, MEASURED.isoformat())), 0)
        started = time.perf_counter()
        multiply(cloud, seed.tables, copies, _reported(seed.tables), lambda done: _say(f"{done} of {copies} copies"))
        filled = time.perf_counter() - started
        scored, outcomes, reports = (_count(cloud, name) for name in ("score_events", "outcomes", "feedback"))
        runs = {name: _run(cloud, name, as_of) for name, as_of in _runs(ages).items()}
        peak = peak_mb(cloud.bigquery_server.pid)
    size = sum(file.stat().st_size for file in (folder / "cloud" / "data").rglob("*") if file.is_file())
    own = [run for name, run in runs.items() if name != WITHOUT]
    return Result(
        rows=scored,
        outcomes=outcomes,
        reports=reports,
        fill_seconds=round(filled, 1),
        stored_bytes=size,
        runs=runs,
        bigquery_peak_mb=round(peak),
        seconds=round(sum(run.seconds for run in own), 1),
        job_processor_seconds=round(sum(run.job_processor_seconds for run in own), 1),
        job_peak_mb=max(run.job_peak_mb for run in own),
        health_rows=sum(run.rows for run in own),
    )


def _reported(tables: Mapping[str, pa.Table]) -> int:
    """Return in which of how many copies reports have to be, for the share of them in production."""
    share = len(tables["feedback"]) / len(tables["score_events"])
    return max(1, round(share / known().assumed.reports_per_pix.value))


def _runs(ages: Sequence[int]) -> dict[str, dt.datetime]:
    """Return the moments of the runs by name."""
    of_ages = {f"{age}": MEASURED + (1 + age) * DAY + DUE for age in ages}
    return {WITHOUT: MEASURED + DUE, "day": MEASURED + DAY + DUE, **of_ages}


def _run(cloud: LocalCloud, name: str, as_of: dt.datetime) -> Run:
    _say(f"jobs.monitor, {name} ...")
    before = processor_seconds(cloud.bigquery_server.pid)
    job = Measured(cloud, "jobs.monitor", "--days", "1", "--as-of", as_of.isoformat())
    served = processor_seconds(cloud.bigquery_server.pid) - before
    run = Run(
        round(job.seconds, 1),
        round(job.processor_seconds, 1),
        round(job.peak_mb),
        round(served, 1),
        job.result["rows"],
    )
    _say(f"  {run}")
    return run


def _count(cloud: LocalCloud, table: str) -> int:
    [row] = cloud.bigquery().query(f"SELECT COUNT(*) FROM {cloud.settings.dataset}.{table}").result()
    return int(row[0])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the result and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.monitoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--pix", type=int, default=20_000, metavar="N", help="to multiply (default: %(default)s)")
    parser.add_argument("--ages", type=int, nargs="*", choices=AGES, default=AGES, help="default: all")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for the files (default: a temporary one)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="monitoring-", dir=options.folder) as folder:
        print(msgspec.json.encode(measured(options.rows, options.pix, options.ages, Path(folder))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
