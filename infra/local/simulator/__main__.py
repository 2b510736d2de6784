"""Command line of the simulator."""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infra.local.simulator.config import (
    BOTH_SIDES,
    DEFAULT_FRAUD_RATE,
    FIRST_FRAUD,
    REALISTIC_FRAUD_RATE,
    Kind,
    SimulationConfig,
    SimulationError,
)
from infra.local.simulator.run import Simulation
from jobs.cli import interruption

_EXAMPLES = """examples:
  python -m infra.local.simulator --transactions 500000 --days 180 --seed 7 --out events.ndjson.gz
  python -m infra.local.simulator --transactions 1000 --days 7 --end 2026-11-20T00:00:00Z | head -1

Each line is {"topic": "pix-transactions"|"pix-outcomes"|"pix-feedback", "data": {...}}, in time order. The same
options, --end included, give the same bytes. The true rate of fraud in Pix is 6 to 8 per 100,000 transactions
(--realistic); the default is far higher so that a small run has frauds to learn from.
"""


def main(arguments: list[str] | None = None) -> int:
    """Write a simulation; return the exit status: 0 done, 1 output failed, 2 wrong options, or that of a signal."""
    parser = _parser()
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        config = SimulationConfig(
            end=options.end or datetime.now(UTC).replace(minute=0, second=0, microsecond=0),
            transactions=options.transactions,
            days=options.days,
            customers=options.customers,
            seed=options.seed,
            fraud_rate=REALISTIC_FRAUD_RATE if options.realistic else options.fraud_rate,
            both_sides=options.both_sides,
            med2=options.med2,
            hop_reports=not options.no_hop_reports,
            outcomes=not options.no_outcomes,
            labels_until=options.labels_until,
        )
    except SimulationError as error:
        parser.error(str(error))
    try:
        with interruption.interruptible():
            _write(config, options.out, console, quiet=options.quiet)
    except interruption.Interrupted as interrupted:
        unfinished = "" if options.out == "-" else f"; {options.out} is not complete"
        console.print(f"{interrupted}{unfinished}", markup=False, soft_wrap=True)
        return interrupted.exit_code
    except BrokenPipeError:
        # The reader (such as head) has closed the pipe; a flush at exit must not fail on it again.
        sys.stderr.close()
        return 0
    except OSError as error:
        console.print(f"cannot write {options.out}: {error.strerror or error}", markup=False, soft_wrap=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.simulator",
        description="Simulate Pix transactions and what is reported about them later, as NDJSON.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--transactions", type=int, default=100_000, metavar="N", help="number of transactions (default: 100000)")
    add("--days", type=int, default=60, metavar="D", help="length of the period in days (default: 60)")
    add("--end", type=_moment, metavar="ISO8601", help="end of the period (default: now, rounded down to the hour)")
    add(
        "--customers",
        type=int,
        metavar="N",
        help="number of persons (default: enough for about 0.8 payments a day each)",
    )
    add("--seed", type=int, default=7, metavar="S", help="seed of the random generators (default: 7)")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--fraud-rate",
        type=float,
        default=DEFAULT_FRAUD_RATE,
        metavar="R",
        help=f"share of fraudulent transactions, reported or not (default: {DEFAULT_FRAUD_RATE})",
    )
    rate.add_argument(
        "--realistic", action="store_true", help="the true rate of fraud in Pix: 7 in 100,000 transactions"
    )
    add(
        "--both-sides",
        type=float,
        default=BOTH_SIDES,
        metavar="R",
        help="share of Pix about which the payee's side asks too, in addition (default: %(default)s)",
    )
    add(
        "--labels-until",
        type=_moment,
        metavar="ISO8601",
        help="leave out feedback reported later (default: write all)",
    )
    add("--med2", type=float, default=1.0, metavar="R", help="share of reports under MED 2.0 (default: 1)")
    add("--no-hop-reports", action="store_true", help="leave out reports on money that was passed on (MED 2.0)")
    add("--no-outcomes", action="store_true", help="leave out the outcomes of Pix (pix-outcomes)")
    add("--out", default="-", metavar="FILE", help="file to write, gzipped if it ends in .gz; - is stdout (default)")
    add("--quiet", action="store_true", help="no progress bar and no summary")
    return parser


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date and time such as 2026-11-20T00:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _write(config: SimulationConfig, target: str, console: Console, *, quiet: bool) -> None:
    began = time.perf_counter()
    with _open(target) as out, _bar(console, config.days, quiet=quiet) as progress:
        task = progress.add_task("building the world", total=config.days)
        simulation = Simulation(config)
        progress.update(task, description="simulating, day")
        for day in simulation.days():
            out.writelines(day)
            progress.advance(task)
    if not quiet:
        _summary(console, simulation, time.perf_counter() - began)


@contextmanager
def _open(target: str) -> Iterator[BufferedIOBase | IO[bytes]]:
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif target.endswith(".gz"):
        # No name or time in the gzip header: the same events give the same file.
        with Path(target).open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
            yield packed
    else:
        with Path(target).open("wb") as plain:
            yield plain


def _bar(console: Console, days: int, *, quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or days < 1, transient=True)


def _summary(console: Console, simulation: Simulation, seconds: float) -> None:
    total = simulation.kinds.total()
    table = Table("item", "count", "share of transactions", title="Simulated")
    frauds = [kind.name for kind in Kind if kind >= FIRST_FRAUD]
    fraud = sum(simulation.kinds[name] for name in frauds)
    counts = [("transactions", total), ("fraud in truth", fraud)]
    counts += [(f"  {name.lower().replace('_', ' ')}", simulation.kinds[name]) for name in frauds]
    counts.insert(1, ("asked by the payee's side too", simulation.both_sides))
    counts += [("mule transfers", simulation.kinds[Kind.MULE_TRANSFER.name])]
    counts += sorted(simulation.labels.items())
    counts += [(f"outcome {name.lower()}", count) for name, count in sorted(simulation.outcomes.items())]
    counts += [("feedback messages written", simulation.feedback)]
    for name, count in counts:
        table.add_row(name, f"{count:,}", f"{count / total:.5%}")
    console.print(table)
    console.print(f"{simulation.events:,} events in {seconds:.1f} s: {simulation.events / seconds:,.0f}/s")


if __name__ == "__main__":
    interruption.leave(main())
