"""The composition of a replay in partitions, from the options of `jobs.replay`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from jobs.cli import arguments

if TYPE_CHECKING:
    from shared.replay.partitioned.engine import ReplayEngine
    from shared.replay.partitioned.run import PartitionedRun
    from shared.replay.scored_rows import ScoredRows
    from shared.replay.sources import ReplaySource

SINGLE, PROCESSES, SPARK = "single", "processes", "spark"
_PARTITIONS_PER_WORKER = 2
"""Enough that no worker waits long for another one, few enough that facts are not divided for its own sake."""


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options of the engine."""
    add = parser.add_argument_group("engine").add_argument
    add(
        "--engine",
        choices=[SINGLE, PROCESSES, SPARK],
        default=SINGLE,
        help="one process, or partitions of history side by side, with equal results (default: %(default)s)",
    )
    add("--workers", type=arguments.positive, metavar="N", help="processes: how many (default: one for each CPU)")
    add("--master", metavar="URL", help="spark: the master (default: of spark-submit, else this machine)")
    add(
        "--partitions",
        type=arguments.positive,
        metavar="N",
        help="parts of history, one in memory in each worker at a time (default: 2 for each worker)",
    )
    add(
        "--slice-rows",
        type=arguments.positive,
        metavar="N",
        help="rows of a time slice, of which facts and reads are on disk at a time (default: 262,144)",
    )
    add(
        "--work",
        type=Path,
        metavar="DIR",
        help="a folder that all workers reach, for files between them (default: a temporary one of this machine)",
    )


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a usage error where the options of the engine contradict others."""
    if options.engine == SINGLE:
        if options.partitions or options.slice_rows or options.work:
            parser.error("--partitions, --slice-rows and --work belong to --engine processes or spark")
    elif options.checkpoint:
        parser.error("--checkpoint belongs to --engine single")
    elif not options.out and not options.state_only:
        parser.error(f"--engine {options.engine} needs --out or --state-only")
    if options.workers and options.engine != PROCESSES:
        parser.error("--workers belongs to --engine processes")
    if options.master and options.engine != SPARK:
        parser.error("--master belongs to --engine spark")


@contextmanager
def replayed(
    options: argparse.Namespace, source: ReplaySource, scored: ScoredRows, advance: Callable[[int], None]
) -> Iterator[PartitionedRun]:
    """Replay a source, and give the finished run, whose state can be read within the block. Raises PixError."""
    from shared.replay.partitioned.run import SLICE_ROWS, PartitionedRun, Spread

    with TemporaryDirectory(prefix="replay-", dir=options.work) as work, _engine(options) as engine:
        partitions = options.partitions or _PARTITIONS_PER_WORKER * engine.workers
        spread = Spread(partitions, options.slice_rows or SLICE_ROWS)
        run = PartitionedRun(source, engine, spread, Path(work), scored, options.out)
        run.run(advance)
        yield run


def counts_of(run: PartitionedRun) -> dict[str, object]:
    """Return the counts of a replay in partitions, for the last line of output."""
    tally = run.tally
    return {
        "partitions": run.spread.partitions,
        "slices": tally.slices,
        "rounds_mean": round(sum(tally.rounds) / max(tally.slices, 1), 2),
        "rounds_max": max(tally.rounds, default=0),
        "values_handed": tally.handed,
        "bytes": tally.bytes,
    }


@contextmanager
def _engine(options: argparse.Namespace) -> Iterator[ReplayEngine]:
    if options.engine == PROCESSES:
        from shared.replay.partitioned.engine import ProcessEngine

        with ProcessEngine(options.workers) as processes:
            yield processes
        return
    from shared.adapters.spark.replay import SparkReplay
    from shared.adapters.spark.session import session

    with session(options.master) as spark:
        yield SparkReplay(spark)
