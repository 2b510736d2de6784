"""Output of a job: its progress on standard error, then its result as one line of JSON."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jobs.cli.interruption import Interrupted, behind, interruptible
from shared.errors import PixError
from shared.telemetry.logs import configure

OK, FAILED, LOST, ASKED = 0, 1, 3, 4
INTERRUPTED = "INTERRUPTED"

log = logging.getLogger("jobs")
P = ParamSpec("P")


class Steps:
    """Show steps on standard error: a progress bar on a terminal, and a line for each step that is done.

    `seconds` is the duration of each step.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._console = console or Console(stderr=True)

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show `name` and the block's progress while it runs: parts done, parts in total, a short status."""
        start = time.perf_counter()
        with self._progress() as progress:
            task = progress.add_task(name, total=None, status="")

            def advance(done: int, total: int, status: str) -> None:
                progress.update(task, completed=done, total=total, status=f"{done}/{total}  {status}")

            yield advance
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self._console.print(f"{self.seconds[name]:7.2f} s  {name}", highlight=False)

    def _progress(self) -> Progress:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[status]}"),
        )
        shown = self._console.is_terminal
        return Progress(*columns, console=self._console, transient=True, disable=not shown)


def bar(console: Console | None = None) -> Progress:
    """Return a progress bar with counts and times, on standard error by default."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )


def steps(progress: Progress) -> Callable[[str, int], None]:
    """Return the function that shows how much of a step is done, as a task of its own."""
    tasks: dict[str, TaskID] = {}

    def advance(step: str, done: int) -> None:
        if step not in tasks:
            tasks[step] = progress.add_task(step, total=None)
        progress.update(tasks[step], completed=done)

    return advance


def command(main: Callable[P, int]) -> Callable[P, int]:
    """Let SIGINT, SIGTERM and SIGHUP end the main function of a job: one line, and INTERRUPTED as its result."""

    @wraps(main)
    def interruptible_main(*args: P.args, **kwargs: P.kwargs) -> int:
        with interruptible():
            try:
                return main(*args, **kwargs)
            except BaseException as error:
                interrupted = behind(error)
                if interrupted is None:
                    raise
                code = report(interrupted)
                _print_result({"outcome": INTERRUPTED, "reasons": [str(interrupted)]})
                return code

    return interruptible_main


def report(interrupted: Interrupted) -> int:
    """Write the line about an interruption to standard error, and return its exit code."""
    sys.stderr.write(f"{interrupted}\n")
    return interrupted.exit_code


def run(job: Callable[[], tuple[int, object]], failed: int = FAILED) -> int:
    """Run a job, print its result as the last line of standard output, and return the exit code.

    `failed` is the exit code of a job that raises PixError.
    """
    configure(logging.WARNING)
    try:
        code, result = job()
    except PixError as error:
        if behind(error):
            raise
        log.error("job failed", extra={"fields": {"error": type(error).__name__, "reason": str(error)}})
        code, result = failed, {"outcome": "FAILED", "error": type(error).__name__, "reasons": [str(error)]}
    _print_result(result)
    return code


def _print_result(result: object) -> None:
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
