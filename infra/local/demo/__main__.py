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
from infra.local.demo.stream import cut
from infra.local.errors import LocalCloudError
from infra.local.simulator import SimulationConfig, SimulationError, simulate
from jobs.cli import interruption
from jobs.cli.console import bar
from shared.errors import PixError

HISTORY = 200_000  # simulated transactions before the live part
DAYS = 180  # labels of the first half can mature
LIVE = 20_000
FRAUD_RATE = 0.01  # the true rate is 6 to 8 per 100,000; a small world needs more to learn from


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    options = _parser().parse_args(arguments)
    interruption.raise_on_signals()
    console = Console(highlight=False)
    home = Path(tempfile.mkdtemp(prefix="pix-demo-"))
    try:
        events = options.events or _simulated(options, home, console)
        where = cut(events, options.live if options.events else options.transactions)
        return run.demo(events, where, home, console)
    except (LocalCloudError, PixError, SimulationError, run.DemoFailed) as error:
        console.print(f"demo: {error}", style="red")
        return 1
    except (KeyboardInterrupt, SystemExit) as error:  # both while the local cloud runs
        code = interruption.ending(error)
        console.print("\ninterrupted; everything is stopped")
        return code
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
        type=_at_least_10,
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
        help="event file to stream instead of simulated events: one event a line, in time order (see the README)",
    )
    parser.add_argument(
        "--live",
        type=_at_least_10,
        metavar="N",
        help="with --events: number of transactions to stream, from the end of the file",
    )
    return parser


def _at_least_10(text: str) -> int:
    if not text.isdecimal() or int(text) < 10:
        raise argparse.ArgumentTypeError("must be a whole number >= 10")
    return int(text)


if __name__ == "__main__":
    interruption.leave(main())
