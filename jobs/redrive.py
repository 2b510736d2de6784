"""Publish dead letters again, after what killed them was mended: pix-transactions or pix-feedback.

Each letter that was there at the start is published to its topic once, with its bytes and attributes, and goes once
that is confirmed. What is published twice, as after a crash, is scored once. What dies again meanwhile waits for the
next run; what was redriven --times times stays, as doing it again will not help.

Exit codes: 0 done, 1 failed, 130 interrupted; what was not redriven is still there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Console

from jobs.cli import arguments, console, wiring
from jobs.replay import bar
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.errors import Unavailable
from shared.settings import Settings

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from shared.adapters.pubsub import DeadLetters, Letter

TOPICS = {"transactions": TRANSACTIONS, "feedback": FEEDBACK}
INTERRUPTED = 130
BATCH = 500
QUIET_SECONDS = 5.0
"""Without a new letter the subscription counts as empty: a pull may find nothing where there is something."""


class Redriven(Struct):
    """How many letters were published again, or would be; how many stay, as they came later or died too often."""

    topic: str
    dry_run: bool
    outcome: str = "DONE"
    redriven: int = 0
    came_later: int = 0
    died_too_often: int = 0


class Redrive:
    """One run over the dead letters of a topic."""

    def __init__(self, letters: DeadLetters, result: Redriven, before: dt.datetime, times: int) -> None:
        self._letters = letters
        self._before = before
        self._times = times
        self._seen: set[str] = set()
        self._kept: list[Letter] = []
        self.result = result

    def run(self, most: int | None, advance: Callable[[int], None]) -> None:
        """Redrive `most` letters (None: all); `advance` is told how many were. Raises Unavailable, Misconfigured."""
        try:
            while (limit := BATCH if most is None else min(BATCH, most - self.result.redriven)) and (
                batch := self._next(limit)
            ):
                self._take(batch)
                advance(len(batch))
        finally:
            self._letters.release(self._kept)

    def _next(self, limit: int) -> list[Letter]:
        """Return letters to redrive, none if there are no more."""
        until = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < until:
            pulled = self._letters.pull(limit, QUIET_SECONDS)
            fresh = [letter for letter in pulled if letter.message_id not in self._seen]
            self._seen.update(letter.message_id for letter in fresh)
            chosen = [letter for letter in fresh if not self._stays(letter)]
            self._kept += [letter for letter in pulled if letter not in chosen]
            if chosen:
                return chosen
            if fresh:
                until = time.monotonic() + QUIET_SECONDS
        return []

    def _stays(self, letter: Letter) -> bool:
        """Tell whether a letter is not redriven, and count it then."""
        if letter.died_at >= self._before:
            self.result.came_later += 1
        elif letter.redriven >= self._times:
            self.result.died_too_often += 1
        else:
            return False
        return True

    def _take(self, batch: list[Letter]) -> None:
        left = batch  # for as long as it is not known otherwise
        try:
            if not self.result.dry_run:
                left = self._letters.redrive(batch)
        finally:
            self._kept += left
        self.result.redriven += len(batch) if self.result.dry_run else len(batch) - len(left)
        if left and not self.result.dry_run:
            raise Unavailable(f"{len(left)} letters could not be published")


def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    return console.run(lambda: _redrive(options))


def _redrive(options: argparse.Namespace) -> tuple[int, Redriven]:
    settings = Settings.from_env(os.environ)
    result = Redriven(TOPICS[options.topic], options.dry_run)
    with closing(wiring.dead_letters(settings, result.topic)) as letters, bar(Console(stderr=True)) as progress:
        task = progress.add_task("look" if options.dry_run else "redrive", total=options.max)
        try:
            Redrive(letters, result, wiring.now(), options.times).run(
                options.max, lambda count: progress.advance(task, count)
            )
        except KeyboardInterrupt:
            result.outcome = "INTERRUPTED"
            return INTERRUPTED, result
    return console.OK, result


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("redrive", __doc__)
    parser.add_argument("topic", choices=TOPICS, help="whose dead letters")
    parser.add_argument("--max", type=arguments.positive, metavar="N", help="at most so many (default: all)")
    parser.add_argument(
        "--times",
        type=arguments.positive,
        default=3,
        metavar="N",
        help="leave what was redriven so often (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only count; nothing is published and nothing goes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
