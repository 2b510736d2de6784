"""What a person sees of a job: its steps, then one line of JSON."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console

from shared.errors import PixError
from shared.logs import configure

OK, FAILED, LOST = 0, 1, 3

log = logging.getLogger("jobs")


class Steps:
    """Show steps on standard error, as a spinner on a terminal and as plain lines elsewhere; keep their seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._console = Console(stderr=True)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Show `name` while the block runs."""
        start = time.perf_counter()
        with self._console.status(name):
            yield
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self._console.print(f"{self.seconds[name]:7.2f} s  {name}", highlight=False)


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
