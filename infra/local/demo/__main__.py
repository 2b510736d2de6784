"""Run the full loop on this machine: history, a model, live traffic, labels, a retraining and a swap under load.

Exit status 0 if nothing was lost and the second model served.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from infra.local.demo import run
from infra.local.demo.stream import LIVE_MIN, cut
from infra.local.errors import LocalCloudError
from infra.local.simulator import SimulationConfig, SimulationError, simulate
from jobs.cli import interruption
from jobs.cli.console import bar
from jobs.cli.events import prepared
from shared.contract.events_file import EventFileError
from shared.errors import PixError

HISTORY = 200_000  # simulated transactions before the live part
DAYS = 180  # labels of the first half can mature
LIVE = 20_000
LIVE_MAX = 1_000_000  # the live part is held in memory
LATEST_YEAR = 2999  # as in ids of the contract; later days can be computed
FRAUD_RATE = 0.01  # the true rate is 6 to 8 per 100,000; a small world needs more to learn from


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    options = _parser().parse_args(arguments)
    interruption.raise_on_signals()
    console = Console(highlight=False)
    home = Path(tempfile.mkdtemp(prefix="pix-demo-"))
    try:
        events = _given(options.events, home, console) if options.events else _simulated(options, home, console)
        where = cut(events, options.live if options.events else options.transactions)
        return run.demo(events, where, home, console)
    except (LocalCloudError, PixError, SimulationError, run.DemoFailed) as error:
        console.print(f"demo: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except (KeyboardInterrupt, SystemExit) as error:  # both while the local cloud runs
        code = interruption.ending(error)
        console.print("\ninterrupted; everything is stopped")
        return code
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _given(path: Path, home: Path, console: Console) -> Path:
    """Return the event file, or its copy in `home`. Raises EventFileError."""
    with bar(console) as progress:
        events, order = prepared(path, home, progress)
    if order.latest.year > LATEST_YEAR:
        raise EventFileError(
            f"line {order.latest_line} is of the year {order.latest.year}; the latest is {LATEST_YEAR}"
        )
    return events


def _simulated(options: argparse.Namespace, home: Path, console: Console) -> Path:
    """Write a simulated event file and return its path."""
    total = HISTORY + options.transactions
    config = SimulationConfig(
        transactions=total,
        days=math.ceil(DAYS * total / (HISTORY + LIVE)),
        end=dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0),
        seed=options.seed,
        fraud_rate=FRAUD_RATE,
    )
    path = home / "events.ndjson"
    with bar(console) as progress, path.open("wb") as file:
        task = progress.add_task("simulate", total=total)
        for line in simulate(config):
            file.write(line)
            progress.advance(task, advance=line.startswith(b'{"topic":"pix-transactions"'))
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--transactions",
        type=_live_count,
        default=LIVE,
        metavar="N",
        help="live transactions (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=7, metavar="S", help="seed of the simulator (default: %(default)s)"
    )
    parser.add_argument(
        "--events",
        type=Path,
        metavar="FILE",
        help="event file to stream instead of simulated events: one event a line, sorted if out of time order "
        "(see the README)",
    )
    parser.add_argument(
        "--live",
        type=_live_count,
        metavar="N",
        help="with --events: number of transactions to stream, from the end of the file",
    )
    return parser


def _live_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not LIVE_MIN <= int(text[:20]) <= LIVE_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from {LIVE_MIN} to {LIVE_MAX:,}")
    return int(text)


if __name__ == "__main__":
    interruption.leave(main())
