"""The rows that are complete in a time slice, where each shard of history gives a part of the reads of a Pix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.replay.joining import OpenParts, parts_of


class PartAt(NamedTuple):
    """The place of a part: the number of a time slice, and that of an event in it."""

    slice: int
    event: int


class CompleteRows(NamedTuple):
    """The events of a slice, or of a range of it, whose rows are written, and whose reads a later slice takes."""

    done: NDArray[np.int64]
    """[k], of the last parts of complete rows, ascending."""
    earlier: Sequence[tuple[int, PartAt]]
    """The other parts of these rows, each with the index of its row in `done`, in their order."""
    kept: NDArray[np.int64]
    """[j], whose reads a later slice takes, ascending."""

    def between(self, start: int, stop: int) -> CompleteRows:
        """Return those of the events from `start` to before `stop`."""
        first, last = np.searchsorted(self.done, (start, stop)).tolist()
        low, high = np.searchsorted(self.kept, (start, stop)).tolist()
        earlier = [(row - first, part) for row, part in self.earlier if first <= row < last]
        return CompleteRows(self.done[first:last], earlier, self.kept[low:high])


class Assembly:
    """Transactions that are not complete, by the places of their parts so far: the reads stay in files."""

    def __init__(self, streams: int) -> None:
        """`streams` are those of the source; with one, each row is complete by itself."""
        self._streams = streams
        self._parts = OpenParts[tuple[PartAt, ...]](lambda earlier, later: earlier + later)

    def add(self, number: int, tables: Sequence[pa.Table]) -> CompleteRows:
        """Add the rows of a slice, each the part of a shard; return those that are complete by it."""
        if self._streams == 1:
            every = np.arange(sum(each.num_rows for each in tables))
            return CompleteRows(every, [], every[:0])
        done: list[int] = []
        earlier: list[tuple[int, PartAt]] = []
        event = 0
        for rows in (each for each in tables if each.num_rows):
            for name, count in zip(rows["end_to_end_id"].to_pylist(), parts_of(rows).tolist(), strict=True):
                found = self._parts.add(name, count, (PartAt(number, event),))
                if found is not None:
                    earlier += [(len(done), part) for part in found[:-1]]
                    done.append(event)
                event += 1
        kept = sorted(part.event for parts in self._parts.parts for part in parts if part.slice == number)
        return CompleteRows(np.array(done, dtype=np.int64), earlier, np.array(kept, dtype=np.int64))

    def slices(self) -> set[int]:
        """Return the slices whose reads a later one takes."""
        return {part.slice for parts in self._parts.parts for part in parts}
