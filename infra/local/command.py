"""The parts that the commands of the local cloud share."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from google.api_core.exceptions import GoogleAPIError
from rich.console import Console

from infra.local.environment import isolate_program
from infra.local.errors import LocalCloudError, describe
from infra.local.home import DEFAULT
from infra.local.simulator import SimulationError
from shared.errors import PixError

INTERRUPTED = 130
_SIGNALLED = 128
_AGAIN_SECONDS = 0.05
FAILURES = (PixError, SimulationError, GoogleAPIError)
"""Errors of which the first line says enough."""


def run(
    command: str, work: Callable[[], int], console: Console, stopped: Callable[[], str] = lambda: "stopped"
) -> int:
    """Run a command and return its exit status; print one line if it fails or is stopped.

    The status is 1 for FAILURES, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    isolate_program()
    _leave_on_signals()
    try:
        with _nothing_swallowed():
            return work()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as signalled:
        status = int(signalled.code or 0)
    except (LocalCloudError, OSError) as error:
        console.print(f"{command}: {describe(error)}", style="red", markup=False, soft_wrap=True)
        return 1
    except FAILURES as error:
        console.print(f"{command}: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    with contextlib.suppress(OSError):  # after SIGHUP there is no terminal
        console.print(stopped(), markup=False, soft_wrap=True)
    return status


@contextlib.contextmanager
def _nothing_swallowed() -> Iterator[None]:
    """Send a signal again whose exception was raised inside a destructor, such as gRPC's: Python ignores it there."""

    def again(ignored: sys.UnraisableHookArgs) -> None:
        value = ignored.exc_value
        if isinstance(value, KeyboardInterrupt):
            number = int(signal.SIGINT)
        elif isinstance(value, SystemExit) and isinstance(value.code, int) and value.code > _SIGNALLED:
            number = value.code - _SIGNALLED
        else:
            before(ignored)
            return
        threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()

    before, sys.unraisablehook = sys.unraisablehook, again
    try:
        yield
    finally:
        sys.unraisablehook = before


def _leave_on_signals() -> None:
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
    raise SystemExit(_SIGNALLED + number)
