"""Watch pix.scores for changed decisions while faults are injected."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from shared.errors import PixError
from tests.benchmarks.faults.stream import Asked

SECONDS = 3.0
"""Pause between two reads; bqemulator blocks appends during a read."""
FULL_EVERY = 10
"""Every how many reads the full view is read; the others read recent scores, which miss only very late deliveries."""
RECENT = dt.timedelta(seconds=90)
CLOCKS = dt.timedelta(seconds=3)
"""By which clocks may differ: of copies of a Pix scored that close, pix.scores shows the one with history, even if
the row of the other was stored first (`shared/contract/bigquery/first.sql`)."""


class Shown(NamedTuple):
    """The row in pix.scores of a side of a Pix."""

    scored_at: dt.datetime
    decision: str
    score: float | None
    model_version: str | None
    degraded: bool

    @property
    def decided(self) -> tuple[str, float | None, str | None]:
        """Return the columns that may never change.

        `scored_at` may: a row can appear for a transaction that was scored before without a trace.
        """
        return self.decision, self.score, self.model_version

    @property
    def kind(self) -> str:
        """Describe the decision."""
        return f"{self.decision} by {self.model_version or 'rules'}{', degraded' if self.degraded else ''}"

    def gives_way_to(self, other: Shown) -> bool:
        """Return whether this row is shown only until that of a copy scored at the same time is stored."""
        return self.degraded and not other.degraded and abs(other.scored_at - self.scored_at) <= CLOCKS


class Watch:
    """A context that reads the view in its own thread; `shown` returns the rows scored since a time (None: all)."""

    def __init__(self, shown: Callable[[dt.datetime | None], Mapping[Asked, Shown]]) -> None:
        self.looks, self.rows, self.gave_way = 0, 0, 0
        self.changes: dict[Asked, tuple[Shown, Shown]] = {}
        self._shown = shown
        self._first: dict[Asked, Shown] = {}
        self._newest: dt.datetime | None = None
        self._lock, self._over = threading.Lock(), threading.Event()
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

    def look(self, full: bool = True) -> None:
        """Read the view and compare each row with its first state. Raises PixError."""
        with self._lock:
            found = self._shown(None if full or self._newest is None else self._newest - RECENT)
            self.looks += 1
            self.rows += len(found)
            for asked, now in found.items():
                before = self._first.setdefault(asked, now)
                if before.decided == now.decided:
                    continue
                if before.gives_way_to(now):
                    self._first[asked] = now
                    self.gave_way += 1
                else:
                    self.changes.setdefault(asked, (before, now))
            self._newest = max((each.scored_at for each in found.values()), default=self._newest)

    def kinds(self) -> Counter[str]:
        """Count the changes by old and new decision."""
        return Counter(f"{before.kind} -> {after.kind}" for before, after in self.changes.values())

    def _run(self) -> None:
        while not self._over.wait(SECONDS):
            try:
                self.look(full=self.looks % FULL_EVERY == 0)
            except PixError:  # exports pass through the bucket, which one of the faults stops
                continue
