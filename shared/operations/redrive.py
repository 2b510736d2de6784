"""Publish dead letters again, once their cause is mended."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

from msgspec import Struct

from shared.errors import Unavailable
from shared.ports.messages import DeadLetter, DeadLetters

BATCH = 500
QUIET_SECONDS = 5.0
"""Time without a new letter after which the subscription counts as empty: a single pull may miss letters."""


class Redriven(Struct):
    """Numbers of letters: published again (or, `dry_run`, to be published), and left because of date or redrives."""

    topic: str
    dry_run: bool
    outcome: str = "DONE"
    redriven: int = 0
    came_later: int = 0
    died_too_often: int = 0


class Redrive:
    """One run over the dead letters of a topic."""

    def __init__(
        self,
        letters: DeadLetters,
        result: Redriven,
        before: dt.datetime,
        times: int,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        """Redrive letters that died before a moment and were redriven less than `times` times; count in `result`."""
        self._letters = letters
        self._before = before
        self._times = times
        self._quiet = quiet_seconds
        self._seen: set[str] = set()
        self._kept: list[DeadLetter] = []
        self.result = result

    def run(self, most: int | None, advance: Callable[[int], None]) -> None:
        """Redrive up to `most` letters (None: all); `advance` receives the size of each batch.

        Letters that stay are released, so that the next run finds them. Raises Unavailable, Misconfigured.
        """
        try:
            while (limit := BATCH if most is None else min(BATCH, most - self.result.redriven)) and (
                batch := self._next(limit)
            ):
                self._take(batch)
                advance(len(batch))
        finally:
            self._letters.release(self._kept)

    def _next(self, limit: int) -> list[DeadLetter]:
        """Return letters to redrive; none at the end."""
        until = time.monotonic() + self._quiet
        while time.monotonic() < until:
            pulled = self._letters.pull(limit, self._quiet)
            fresh = [letter for letter in pulled if letter.message_id not in self._seen]
            self._seen.update(letter.message_id for letter in fresh)
            chosen = [letter for letter in fresh if not self._stays(letter)]
            self._kept += [letter for letter in pulled if letter not in chosen]
            if chosen:
                return chosen
            if fresh:
                until = time.monotonic() + self._quiet
        return []

    def _stays(self, letter: DeadLetter) -> bool:
        """Return whether to leave a letter, and count it if so."""
        if letter.died_at >= self._before:
            self.result.came_later += 1
        elif letter.redriven >= self._times:
            self.result.died_too_often += 1
        else:
            return False
        return True

    def _take(self, batch: list[DeadLetter]) -> None:
        left = batch  # until publishing is confirmed
        try:
            if not self.result.dry_run:
                left = self._letters.redrive(batch)
        finally:
            self._kept += left
        self.result.redriven += len(batch) if self.result.dry_run else len(batch) - len(left)
        if left and not self.result.dry_run:
            raise Unavailable(f"{len(left)} letters could not be published")
