"""What pix.scores shows, looked at again and again while everything fails."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from shared.errors import PixError

SECONDS = 3.0
"""Between two looks; while one lasts, appends to bqemulator wait."""
WHOLE_EVERY = 10
"""Looks; the others read what was scored lately, where all that appears is but what was delivered very late."""
LATELY = dt.timedelta(seconds=90)


class Shown(NamedTuple):
    """What pix.scores shows of a transaction."""

    scored_at: dt.datetime
    decision: str
    score: float | None
    model_version: str | None
    degraded: bool

    @property
    def decided(self) -> tuple[str, float | None, str | None]:
        """Return what may never change; when it was scored may, where nobody could know that it had been."""
        return self.decision, self.score, self.model_version

    @property
    def kind(self) -> str:
        """Return what is worth telling, in words."""
        return f"{self.decision} by {self.model_version or 'rules'}{', degraded' if self.degraded else ''}"


class Watch:
    """A context that looks from a thread of its own; `shown` reads what was scored since then, or all (None)."""

    def __init__(self, shown: Callable[[dt.datetime | None], Mapping[str, Shown]]) -> None:
        self.looks, self.rows = 0, 0
        self.changes: dict[str, tuple[Shown, Shown]] = {}
        self._shown = shown
        self._first: dict[str, Shown] = {}
        self._newest: dt.datetime | None = None
        self._one_at_a_time, self._over = threading.Lock(), threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")

    def __enter__(self) -> Self:
        self._looking = self._thread.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.shutdown()
        if error is None:
            self._looking.result()

    def look(self, whole: bool = True) -> None:
        """Compare what is shown now with what was shown of the same transactions first. Raises PixError."""
        with self._one_at_a_time:
            found = self._shown(None if whole or self._newest is None else self._newest - LATELY)
            self.looks += 1
            self.rows += len(found)
            for id_, now in found.items():
                before = self._first.setdefault(id_, now)
                if before.decided != now.decided:
                    self.changes.setdefault(id_, (before, now))
            self._newest = max((each.scored_at for each in found.values()), default=self._newest)

    def kinds(self) -> Counter[str]:
        """Return how many decisions were replaced by what."""
        return Counter(f"{before.kind} -> {after.kind}" for before, after in self.changes.values())

    def _run(self) -> None:
        while not self._over.wait(SECONDS):
            try:
                self.look(whole=self.looks % WHOLE_EVERY == 0)
            except PixError:  # what is read passes through the bucket, which is away for a while
                continue
