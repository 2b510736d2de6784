"""The loop of a replay in partitions: time slices, and the rounds within each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

from shared.errors import Misconfigured
from shared.features.state import State
from shared.replay.partitioned.dividing import PartitionFacts, divided, joined
from shared.replay.partitioned.engine import ReplayEngine
from shared.replay.partitioned.tasks import (
    CONTACTS_ROUND,
    FIRST_ROUND,
    CountRound,
    KeepState,
    SliceFolder,
    TaskResult,
    WriteRows,
    state_of,
)
from shared.replay.recurrence import Ordered, in_order
from shared.replay.scored_rows import ScoredRows
from shared.replay.sinks import PART_ROWS, Folder
from shared.replay.sources import ReplaySource

SLICE_ROWS = 8 * PART_ROWS
"""Rows of a time slice: enough that starting tasks costs little, few enough that a partition fits into memory."""


class Spread(Struct, frozen=True):
    """How a replay is spread: `partitions` of history, and the rows of a time slice, at least."""

    partitions: int
    slice_rows: int = SLICE_ROWS


class SliceTally(Struct):
    """Counts of a replay, from which its cost at another scale follows."""

    rows: int = 0
    slices: int = 0
    rounds: list[int] = []
    """Of each slice."""
    handed: int = 0
    """Values handed from partition to partition."""
    counted_again: int = 0
    """Partitions that counted again, in all slices."""
    bytes: dict[str, int] = {}
    """Written, by kind: facts, rows and reads go to other tasks once, handed values in each round."""
    seconds: dict[str, float] = {}
    """Of each step; `read` and `divide` are work of this process alone, `count_again` is the price of taint."""

    def add(self, result: TaskResult) -> None:
        """Add the result of a task."""
        self.handed += sum(result.handed.values())
        self.bytes = dict(Counter(self.bytes) + Counter(result.bytes))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the duration of the block to that of a step."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(slots=True)
class _TimeSlice:
    """Successive transactions with their facts."""

    facts: list[Ordered] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(each.num_rows for each in self.rows)

    def parts(self, partitions: int) -> list[PartitionFacts]:
        return divided(joined(self.facts, [each.num_rows for each in self.rows]), partitions)

    def edges(self) -> list[int]:
        """Return the numbers of the events between the ranges, each of which becomes a file of rows."""
        return [*range(0, self.count, PART_ROWS), self.count]


class PartitionedRun:
    """A replay of stored rows by the workers of an engine, equal to `ReplayRun` in every feature and record.

    Memory is bounded by the rows of a slice, here, and by the facts and the records of a partition in each worker.
    """

    def __init__(
        self,
        source: ReplaySource,
        engine: ReplayEngine,
        spread: Spread,
        work: Path,
        scored: ScoredRows,
        out: Path | None,
    ) -> None:
        """`work` is a folder that all workers reach; rows are written to `out`, None writes none.

        Raises Misconfigured if the source has several shards of history.
        """
        if source.streams > 1:
            raise Misconfigured("a replay of several shards of history has no --engine: replay it in one process")
        self._source = source
        self._engine = engine
        self.spread = spread
        self._work = str(work)
        self._scored = scored
        self._out = out
        self._place = 0
        self._files = 0
        self.tally = SliceTally()

    @property
    def transactions(self) -> int:
        """The rows replayed so far."""
        return self.tally.rows

    def run(self, advance: Callable[[int], None]) -> None:
        """Replay the source; `advance` receives the source rows done. Raises PixError."""
        slices = self._slices()
        while (found := self._next(slices)) is not None:
            done, time_slice = found
            self._replay(time_slice)
            advance(done)
        if self._out:
            Folder(self._out, "score_events").finish(self._files)

    def state(self) -> State:
        """Return the state of history at this point. Raises Misconfigured."""
        found = state_of(self._work, self.tally.slices, self.spread.partitions)
        return found._replace(sequence=self._place)

    def _next(self, slices: Iterator[tuple[int, _TimeSlice]]) -> tuple[int, _TimeSlice] | None:
        with self.tally.step("read"):
            return next(slices, None)

    def _slices(self) -> Iterator[tuple[int, _TimeSlice]]:
        """Yield slices, and the source rows read by the end of each."""
        pending, done = _TimeSlice(), 0
        for piece in self._source.batches(0):
            pending.facts.append(in_order(piece.chunk))
            pending.rows.append(piece.rows)
            self._place, done = max(self._place, piece.place), piece.done
            if pending.count >= self.spread.slice_rows:
                yield done, pending
                pending = _TimeSlice()
        if pending.facts:
            yield done, pending

    def _replay(self, time_slice: _TimeSlice) -> None:
        folder = SliceFolder(self._work, self.tally.slices, tuple(time_slice.edges()))
        with self.tally.step("divide"):
            self._divide(folder, time_slice)
        rounds = self._rounds(folder)
        with self.tally.step("write"):
            self._finish(folder, rounds)
        self.tally.rows += time_slice.count
        self.tally.slices += 1
        self.tally.rounds.append(max(number for number, _ in rounds) + 1)
        folder.clear()

    def _divide(self, folder: SliceFolder, time_slice: _TimeSlice) -> None:
        """Write the facts of each partition, and the rows of each range."""
        folder.begin()
        for number, facts in enumerate(time_slice.parts(self.spread.partitions)):
            self.tally.add(TaskResult(bytes={"facts": folder.put_part(number, facts)}))
        if self._out and time_slice.count:
            rows = pa.concat_tables(each for each in time_slice.rows if each.num_rows)
            for number, (start, stop) in enumerate(pairwise(folder.edges)):
                self.tally.add(TaskResult(bytes={"rows": folder.put_rows(number, rows.slice(start, stop - start))}))

    def _rounds(self, folder: SliceFolder) -> list[tuple[int, int]]:
        """Count until no partition takes another value; return the number and the partition of each count."""
        everyone = range(self.spread.partitions)
        found: list[tuple[int, int]] = []
        last: dict[int, int] = {}
        mail: dict[int, list[int]] = {}
        number = CONTACTS_ROUND
        while mail or number <= FIRST_ROUND:
            counting = everyone if number <= FIRST_ROUND else sorted(mail)
            tasks = [
                CountRound(folder, each, number, last.get(each, 0), tuple(mail.get(each, ()))) for each in counting
            ]
            with self.tally.step("count" if number <= FIRST_ROUND else "count_again"):
                results = self._told(tasks)
            mail = {}
            for task, result in zip(tasks, results, strict=True):
                found.append((number, task.partition))
                last[task.partition] = number
                for to in result.handed:
                    mail.setdefault(to, []).append(task.partition)
            self.tally.counted_again += len(tasks) * (number > FIRST_ROUND)
            number += 1
        return found

    def _finish(self, folder: SliceFolder, rounds: Sequence[tuple[int, int]]) -> None:
        """Write the rows of the slice, and the state after it."""
        everyone = range(self.spread.partitions)
        tasks: list[KeepState | WriteRows] = [
            KeepState(folder, each, tuple(number for number, partition in rounds if partition == each))
            for each in everyone
        ]
        if self._out:
            ranges = len(folder.edges) - 1
            tasks += [
                WriteRows(folder, each, tuple(rounds), self._scored, str(self._out), self._files + each)
                for each in range(ranges)
            ]
            self._files += ranges
        self._told(tasks)

    def _told(self, tasks: Sequence[CountRound] | Sequence[KeepState | WriteRows]) -> list[TaskResult]:
        results = self._engine.run(tasks)
        for each in results:
            self.tally.add(each)
        return results
