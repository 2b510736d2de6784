"""The parts that the commands of the local cloud share."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType

from infra.local.home import DEFAULT

INTERRUPTED = 130


def leave_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as SystemExit, SIGINT as KeyboardInterrupt.

    A shell starts background jobs with SIGINT ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def add_home(parser: argparse.ArgumentParser) -> None:
    """Add the option --home to a command line."""
    parser.add_argument(
        "--home",
        type=Path,
        default=DEFAULT,
        metavar="DIR",
        help="folder of the world (default: %(default)s)",
    )


def shown(path: Path) -> str:
    """Return a path as short as it can be pasted: relative if it is below the current directory."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
