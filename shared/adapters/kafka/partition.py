"""The place of one partition: the offset before which every message is settled."""

from __future__ import annotations

from collections import deque


class Progress:
    """Messages of a partition that were handed out in order, and may be settled in any order.

    >>> progress = Progress()
    >>> for offset in (7, 8, 9):
    ...     progress.hand_out(offset)
    >>> progress.settle(8), progress.settle(7)
    (7, 9)
    """

    def __init__(self) -> None:
        self._handed_out: deque[int] = deque()
        self._settled: set[int] = set()
        self.position = 0
        """The offset of the first message that is not settled."""

    def hand_out(self, offset: int) -> None:
        """Note that a message was handed out."""
        if not self._handed_out:
            self.position = offset
        self._handed_out.append(offset)

    def settle(self, offset: int) -> int:
        """Note that a message is settled, and return the position."""
        self._settled.add(offset)
        while self._handed_out and self._handed_out[0] in self._settled:
            done = self._handed_out.popleft()
            self._settled.remove(done)
            self.position = self._handed_out[0] if self._handed_out else done + 1
        return self.position
