"""Isolate the rows for which BigQuery refuses an append, so that the others are stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

Send = Callable[[Sequence[int]], Awaitable[frozenset[int] | None]]
"""Append the rows of these indexes as one request, which BigQuery stores as a whole or not at all.

Return the rows that the answer names as faulty, by their place in the request; none, if all are stored; None, if the
request was refused and the answer names no row.
"""
STORED: frozenset[int] = frozenset()
MOST_ISOLATED = 8
"""Rows after which no refused request is halved any more: with as many in a batch, the table may refuse every row."""


class Isolation:
    """Append rows by requests that get smaller; `refused` has the indexes of those that are not stored.

    A request whose answer names no row is halved, so one faulty row of n is found in log2(n) rounds. Beyond
    MOST_ISOLATED such rows, all rows of a refused request count as refused: their messages are delivered again, in
    other batches.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.refused: list[int] = []
        self._isolated = 0

    async def append(self, rows: Sequence[int]) -> None:
        """Append the rows of these indexes. Raises the error of a request."""
        if rows:
            await self.proceed(rows, await self._send(rows))

    async def proceed(self, rows: Sequence[int], faulty: frozenset[int] | None) -> None:
        """Append rows again as the answer to their request demands. Raises the error of a request."""
        if faulty is None:
            await self._halve(rows)
        elif faulty:
            self.refused += [row for place, row in enumerate(rows) if place in faulty]
            await self.append([row for place, row in enumerate(rows) if place not in faulty])

    async def _halve(self, rows: Sequence[int]) -> None:
        if len(rows) == 1 or self._isolated >= MOST_ISOLATED:
            self.refused += rows
            self._isolated += 1
            return
        half = len(rows) // 2
        await self.append(rows[:half])
        await self.append(rows[half:])
