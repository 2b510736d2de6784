"""Run the full loop on this machine: history, a model, live traffic, outcomes, labels, a retraining and a swap.

Where the event file has outcomes, each is published once its Pix is decided, and fits the decision; else an approved
Pix is assumed to have settled. The world that the run builds is continued by `make up`. Exit status 0 if nothing was
lost or duplicated, and rows from before and after the swap under load were scored.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from infra.local import command
from infra.local import home as homes
from infra.local.command import add_home, shown
from infra.local.demo import run
from infra.local.demo.events import HISTORY, LIVE, SEED, simulated
from infra.local.demo.stream import LIVE_MIN, cut
from infra.local.experiments import CARD
from infra.local.home import Home, claimed
from jobs.cli import interruption
from jobs.cli.console import bar
from jobs.cli.events import prepared
from shared.contract.events_file import EventFileError
from shared.errors import PixError

LIVE_MAX = 1_000_000  # the live part is held in memory
LATEST_YEAR = 2999  # as in ids of the contract; later days can be computed


COMMAND = "make demo"


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    return command.run(
        COMMAND, lambda: _demo(options, console), console, lambda: "interrupted; everything is stopped"
    )


class NotShown(PixError):
    """The demo ran to its end, and its table lacks something that it is to show."""


def _demo(options: argparse.Namespace, console: Console) -> int:
    with claimed(options.home, COMMAND) as home, _built(home, console) as built:
        _run(options, built, console)
        console.print(_next(home, home.adopt(built)), markup=False, soft_wrap=True)
    return 0


def _run(options: argparse.Namespace, built: Path, console: Console) -> None:
    events = (
        _given(options.events, built, console)
        if options.events
        else simulated(HISTORY + options.transactions, options.seed, built, console)
    )
    where = cut(events, options.live if options.events else options.transactions)
    if not run.demo(events.absolute(), where, built, console):
        raise NotShown("the run did not show all that it is to show: see its table")
    if events.parent == built:  # simulated, copied from a pipe, or sorted
        events.unlink()


@contextmanager
def _built(home: Home, console: Console) -> Iterator[Path]:
    """Make a folder for a new world beside that of `home`.

    If the block fails, the folder becomes DIR.failed, for its logs; if it is interrupted, the folder is removed.
    """
    for name in ("old", "failed"):  # now rather than after minutes of work
        homes.require_own(homes.beside(home.path, name))
    for left in home.path.parent.glob(f"{home.path.name}.new-*"):  # by a demo that was killed
        if homes.read_marker(left):
            shutil.rmtree(left)
    built = Path(tempfile.mkdtemp(prefix=f"{home.path.name}.new-", dir=home.path.parent))
    homes.mark(built)
    try:
        yield built
    except Exception:
        if any(built.glob("*.log")):
            failed = homes.replace(built, homes.beside(home.path, "failed"))
            console.print(f"The logs are in {shown(failed)}.", soft_wrap=True)
        raise
    finally:
        shutil.rmtree(built, ignore_errors=True)


_QUERIES = (
    "SELECT decision, COUNT(*) AS n, ROUND(AVG(score), 4) AS mean_score FROM pix.scores GROUP BY decision",
    "SELECT end_to_end_id, amount, score, reasons FROM pix.scores WHERE decision != 'APPROVE' ORDER BY score DESC "
    "LIMIT 10",
    "SELECT outcome, COUNT(*) AS n, SUM(returned_amount) AS returned FROM pix.life GROUP BY outcome",
    "SELECT recorded_at, action, to_version, reason FROM pix.model_ledger ORDER BY recorded_at",
)


NEXT = {
    "make mlflow": "the pages of MLflow: runs, models, cards",
    "make up": "continue: the same rows and history, the model that serves, the case desk and its /health",
    "make traffic RATE=20": "publish the simulator's Pix and outcomes until Ctrl-C",
}
"""The commands to run after a demo, in the words of the README."""


def _line(command: str, option: str) -> str:
    return f"  {command + option:40} {NEXT[command]}"


def _next(home: Home, earlier: Path | None) -> str:
    """Return the text on the things to look at, all of it as commands to paste."""
    option = "" if home.path == homes.DEFAULT.resolve() else f' ARGS="--home {shown(home.path)}"'
    where = "" if not option else f" --home {shown(home.path)}"
    queries = "\n".join(f'  .venv/bin/python -m infra.local.query{where} "{sql}"' for sql in _QUERIES)
    before = "" if earlier is None else f"\nThe world that was here before is in {shown(earlier)}.\n"
    return f"""
The world of this run is in {shown(home.path)}.
{before}
Look at it:
  {shown(home.path / CARD):40} the model card: a file to open in a browser
{_line("make mlflow", option)}
{_line("make up", option)}

While `make up` runs, in another shell:
{_line("make traffic RATE=20", option)}
{queries}

Another one, in place of this:
  make demo TRANSACTIONS=50000 SEED=3"""


def _given(path: Path, home: Path, console: Console) -> Path:
    """Return the event file, or its copy in `home`. Raises EventFileError."""
    with bar(console) as progress:
        events, order = prepared(path, home, progress)
    if order.latest.year > LATEST_YEAR:
        raise EventFileError(
            f"line {order.latest_line} is of the year {order.latest.year}; the latest is {LATEST_YEAR}"
        )
    return events


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_home(parser)
    parser.add_argument(
        "--transactions",
        type=_live_count,
        default=LIVE,
        metavar="N",
        help="live transactions (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, metavar="S", help="seed of the simulator (default: %(default)s)"
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
