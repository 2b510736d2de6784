"""The parts that the commands of the local cloud share."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError
from rich.console import Console

from infra.local.environment import isolate_program
from infra.local.errors import LocalCloudError, describe
from infra.local.home import DEFAULT
from infra.local.simulator import SimulationError
from jobs.cli import interruption
from shared.errors import PixError

FAILURES = (PixError, SimulationError, GoogleAPIError)
"""Errors of which the first line says enough."""


def run(
    command: str, work: Callable[[], int], console: Console, stopped: Callable[[], str] = lambda: "stopped"
) -> int:
    """Run a command and return its exit status; print one line if it fails or is stopped.

    The status is 1 for FAILURES, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    isolate_program()
    interruption.raise_on_signals()
    try:
        return work()
    except (KeyboardInterrupt, SystemExit) as error:  # both while the local cloud runs
        status = interruption.ending(error)
    except (LocalCloudError, OSError) as error:
        console.print(f"{command}: {describe(error)}", style="red", markup=False, soft_wrap=True)
        return 1
    except FAILURES as error:
        console.print(f"{command}: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    with contextlib.suppress(OSError):  # after SIGHUP there is no terminal
        console.print(stopped(), markup=False, soft_wrap=True)
    return status


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
