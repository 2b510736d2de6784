"""Transactions whose records are on several shards of history: the streams in step, and the reads together."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.features.history import READ_WIDTH
from shared.replay.arrow_columns import whole

_HOUR = 3_600_000_000
Reads = NDArray[np.float32]
Part = TypeVar("Part")


def in_step(streams: Sequence[Iterable[pa.Table]]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of each stream, in its order, with its number: all those of an hour, and then of the next one.

    In an hour the first stream comes last, so that its rows without a place know the counts of all shards before.
    """
    if len(streams) == 1:
        yield from ((0, rows) for rows in streams[0])
        return
    timed = [_by_hour(number, tables) for number, tables in enumerate(streams)]
    yield from ((-turn, rows) for _, turn, rows in heapq.merge(*timed, key=lambda each: each[:2]))


def _by_hour(number: int, tables: Iterable[pa.Table]) -> Iterator[tuple[int, int, pa.Table]]:
    """Yield rows by the last hour so far at which one of them was initiated."""
    reached = 0
    for rows in tables:
        hours = np.maximum.accumulate(np.maximum(whole(rows["initiated_at"], 0) // _HOUR, reached))
        starts = np.flatnonzero(np.diff(hours, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(hours)], strict=True):
            yield int(hours[start]), -number, rows.slice(start, stop - start)
        reached = int(hours[-1])


def parts_of(rows: pa.Table) -> NDArray[np.int64]:
    """Return the number [n] of shards that counted each ask, by the places that its row names."""
    home = (whole(rows["history_sequence"], 0) > 0).astype(np.int64)
    return home + whole(pc.list_value_length(rows["visited"]), 0)


class OpenParts(Generic[Part]):
    """Transactions of which some shards have given their part; one is complete with its last part."""

    def __init__(self, merge: Callable[[Part, Part], Part]) -> None:
        """`merge` returns an earlier and a later part as one."""
        self._merge = merge
        self.open: dict[Hashable, tuple[int, Part]] = {}
        """The number of parts to come, and those that came."""

    def add(self, name: Hashable, count: int, part: Part) -> Part | None:
        """Add one of `count` parts; return all of them merged once they are complete, None until then."""
        if count <= 1:
            return part
        left, before = self.open.pop(name, (count, None))
        every = part if before is None else self._merge(before, part)
        if left <= 1:
            return every
        self.open[name] = left - 1, every
        return None

    @property
    def parts(self) -> Collection[Part]:
        """The parts of transactions that are not complete."""
        return [part for _, part in self.open.values()]


def filled(reads: Reads, earlier: Reads) -> Reads:
    """Return reads with the values of an earlier part where they have none."""
    found: Reads = np.where(np.isnan(reads), earlier, reads)
    return found


class Joined:
    """Reads of transactions of which some shards have given theirs; a value that a shard does not have is NaN."""

    def __init__(self) -> None:
        self._parts = OpenParts[Reads](lambda earlier, later: filled(later, earlier))

    def __len__(self) -> int:
        """Return the number of transactions that are not complete."""
        return len(self._parts.open)

    def add(
        self, names: Sequence[Hashable], parts: NDArray[np.int64], reads: Reads
    ) -> tuple[NDArray[np.int64], Reads]:
        """Add the reads [n, READ_WIDTH] of a shard, given the number of parts of each [n].

        Return the indexes of those that are complete, and all their reads.
        """
        done, found = np.flatnonzero(parts <= 1).tolist(), reads.copy()
        for i in np.flatnonzero(parts > 1).tolist():
            if (every := self._parts.add(names[i], int(parts[i]), reads[i].copy())) is not None:
                found[i] = every
                done.append(i)
        rows = np.sort(np.array(done, dtype=np.int64))
        return rows, found[rows]

    def note(self) -> Any:
        """Return the transactions that are not complete, for JSON; their names are strings."""
        return [(name, left, reads.tobytes()) for name, (left, reads) in self._parts.open.items()]

    def resume(self, note: Any) -> None:
        """Continue from a note."""
        known = msgspec.convert(note, list[tuple[str, int, bytes]], builtin_types=())
        self._parts.open = {name: (left, np.frombuffer(reads, dtype=np.float32)) for name, left, reads in known}


def no_reads(count: int) -> Reads:
    """Return missing reads [count, READ_WIDTH]."""
    return np.full((count, READ_WIDTH), np.nan, dtype=np.float32)
