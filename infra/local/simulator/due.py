"""Lines of the event file that are due later."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Due:
    """A queue of lines by time; those of one millisecond keep the order in which they came."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, bytes]] = []
        self._sequence = 0

    def push(self, at: int, text: bytes) -> None:
        """Add a line for a moment in UTC milliseconds."""
        self._sequence += 1
        heapq.heappush(self._lines, (at, self._sequence, text))

    def before(self, moment: int | None) -> Iterator[tuple[int, bytes]]:
        """Remove and yield the lines before a moment (None: all), in time order."""
        while self._lines and (moment is None or self._lines[0][0] < moment):
            at, _, text = heapq.heappop(self._lines)
            yield at, text
