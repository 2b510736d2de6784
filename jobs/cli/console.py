"""What a person sees of a job: its steps, then one line of JSON."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from shared.errors import PixError
from shared.telemetry.logs import configure

OK, FAILED, LOST = 0, 1, 3

log = logging.getLogger("jobs")


class Steps:
    """Show steps on standard error: on a terminal what runs and how far it is, elsewhere plain lines of what is done.

    `seconds` keeps how long each took.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._console = console or Console(stderr=True)

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show `name` while the block runs, and what the block says: so many of so many are done, and a word."""
        start = time.perf_counter()
        with self._progress() as progress:
            task = progress.add_task(name, total=None, said="")

            def advance(done: int, total: int, said: str) -> None:
                progress.update(task, completed=done, total=total, said=f"{done}/{total}  {said}")

            yield advance
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self._console.print(f"{self.seconds[name]:7.2f} s  {name}", highlight=False)

    def _progress(self) -> Progress:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[said]}"),
        )
        shown = self._console.is_terminal
        return Progress(*columns, console=self._console, transient=True, disable=not shown)


def run(job: Callable[[], tuple[int, object]], failed: int = FAILED) -> int:
    """Run a job, print its result as the last line of standard output, and return the exit code.

    It is `failed` if the job could not do its work.
    """
    configure(logging.WARNING)
    try:
        code, result = job()
    except PixError as error:
        log.error("job failed", extra={"fields": {"error": type(error).__name__, "reason": str(error)}})
        code, result = failed, {"outcome": "FAILED", "error": type(error).__name__, "reasons": [str(error)]}
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    return code
