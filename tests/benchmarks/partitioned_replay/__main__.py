"""Replay a world of mule chains in one process and in partitions, compare every value, and project the cost.

Seconds are those of the clock on this machine, with its other load. The last line of standard output is the result
as JSON; `mismatches` counts the values of rows and the records of the state that differ, which must be 0.

Exit codes: 0 equal, 1 not.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from shared.features.layout import ACCOUNT, LAYOUTS
from shared.features.state import State
from shared.replay.equality import compared
from shared.replay.parquet import Files
from shared.replay.partitioned.engine import ProcessEngine, ReplayEngine
from shared.replay.partitioned.run import SLICE_ROWS, PartitionedRun, SliceTally, Spread
from shared.replay.run import ReplayRun, Sinks
from shared.replay.scored_rows import ScoredRows
from shared.replay.sinks import Folder, ParquetParts
from shared.scoring.rules import Rules
from tests.benchmarks.partitioned_replay.projection import ASSUMPTIONS, Measured, Projection, projected
from tests.benchmarks.partitioned_replay.world import write
from tests.unit.replays import records

_SCORED = ScoredRows(Rules.load(), 1)


class Run(Struct):
    """A replay in partitions."""

    engine: str
    workers: int
    seconds: float
    cpu_s: float | None
    """Processor seconds of all processes; None for Spark, whose processes outlive the replay."""
    reader_cpu_s: float
    """Processor seconds of the process that reads the rows and divides the facts."""
    steps: dict[str, float]
    mismatches: int


class Result(Struct):
    """The JSON result."""

    pix: int
    mismatches: int
    values: int
    """Compared, of each run."""
    partitions: int
    slices: int
    rounds_mean: float
    rounds_max: int
    values_handed: int
    bytes: dict[str, int]
    exchanged_bytes_per_pix: float
    single_s: float
    single_cpu_s: float
    runs: list[Run]
    load: float
    projection: Projection | None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and compare; return the exit code."""
    options = _parser().parse_args(argv)
    with TemporaryDirectory(prefix="bench-replay-") as folder:
        result = _measured(options, Path(folder))
    if result.projection:
        _say("projected, assuming that")
        for each in ASSUMPTIONS:
            _say(f"- {each}")
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    return 1 if result.mismatches else 0


def _measured(options: argparse.Namespace, folder: Path) -> Result:
    rows = folder / "in"
    rows.mkdir()
    write(rows, options.pix, options.seed)
    started, cpu = time.perf_counter(), time.process_time()
    expected = _single(rows, folder / "single")
    single = time.perf_counter() - started, time.process_time() - cpu
    _say(f"one process: {single[0]:.1f} s")
    spread = Spread(options.partitions, options.slice_rows)
    runs, tally, values, measured = [], SliceTally(), 0, None
    for name, workers in [*(("processes", each) for each in options.workers), *([("spark", 0)] * options.spark)]:
        out = folder / f"{name}-{workers}"
        run, tally, state = _partitioned(name, workers, rows, out, spread)
        values, differing = compared(folder / "single", out)
        run.mismatches = differing + _differing(expected, state)
        _say(f"{name}, {run.workers} workers: {run.seconds:.1f} s, {run.mismatches} of {values:,} values differ")
        runs.append(run)
        if run.cpu_s is not None:
            accounts = len(state.tables[LAYOUTS.index(ACCOUNT)].keys)
            size = sum(
                layout.packed.itemsize * len(of.keys) for layout, of in zip(LAYOUTS, state.tables, strict=True)
            )
            measured = Measured(tally, run.workers, run.cpu_s, run.reader_cpu_s, accounts, size)
    exchanged = sum(size for kind, size in tally.bytes.items() if kind != "state")
    return Result(
        pix=tally.rows,
        mismatches=sum(run.mismatches for run in runs),
        values=values,
        partitions=options.partitions,
        slices=tally.slices,
        rounds_mean=round(sum(tally.rounds) / tally.slices, 2),
        rounds_max=max(tally.rounds),
        values_handed=tally.handed,
        bytes=tally.bytes,
        exchanged_bytes_per_pix=round(exchanged / tally.rows, 1),
        single_s=round(single[0], 1),
        single_cpu_s=round(single[1], 1),
        runs=runs,
        load=round(os.getloadavg()[0], 1),
        projection=projected(measured, options.rows, options.cluster, options.accounts) if measured else None,
    )


def _single(rows: Path, out: Path) -> State:
    parts = ParquetParts(Folder(out, "score_events"))
    run = ReplayRun(Files(rows, None).source(), Sinks(parts, None, None), _SCORED.rules, _SCORED.key_version)
    run.run(lambda _: None)
    parts.finish()
    return run.state()


def _partitioned(name: str, workers: int, rows: Path, out: Path, spread: Spread) -> tuple[Run, SliceTally, State]:
    with _engine(name, workers) as engine, TemporaryDirectory(dir=out.parent) as work:
        started, own, children = time.perf_counter(), time.process_time(), _children()
        run = PartitionedRun(Files(rows, None).source(), engine, spread, Path(work), _SCORED, out)
        run.run(lambda done: _say(f"  {done:,} rows"))
        seconds, own = time.perf_counter() - started, time.process_time() - own
        state, workers = run.state(), engine.workers
    cpu = own + _children() - children if name == "processes" else None
    steps = {step: round(each, 1) for step, each in run.tally.seconds.items()}
    cpu = None if cpu is None else round(cpu, 1)
    return Run(name, workers, round(seconds, 1), cpu, round(own, 1), steps, 0), run.tally, state


@contextmanager
def _engine(name: str, workers: int) -> Iterator[ReplayEngine]:
    if name == "processes":
        with ProcessEngine(workers) as engine:
            yield engine
        return
    from shared.adapters.spark.replay import SparkReplay
    from shared.adapters.spark.session import session

    with session(None) as spark:
        yield SparkReplay(spark)


def _differing(one: State, other: State) -> int:
    """Return the number of records that are not in both states, bit for bit."""
    return len(set(records(one)) ^ set(records(other)))


def _children() -> float:
    """Return the processor seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.partitioned_replay",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--pix", type=int, default=200_000, metavar="N", help="of the world (default: %(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="default: %(default)s")
    add("--partitions", type=int, default=4, metavar="N", help="default: %(default)s")
    add("--slice-rows", type=int, default=SLICE_ROWS, metavar="N", help="default: %(default)s")
    add("--workers", type=int, nargs="*", default=[1, 2], metavar="N", help="processes of each run (default: 1 2)")
    add("--spark", action="store_true", help="replay by Spark too")
    add("--rows", type=int, default=10**10, metavar="N", help="of the projection (default: 10 billion)")
    add("--cluster", type=int, default=100, metavar="N", help="workers of the projection (default: %(default)s)")
    add("--accounts", type=int, default=200_000_000, metavar="N", help="of the projection (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
