"""The loop of a replay in partitions: time slices, and the rounds within each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.tables import table
from shared.features.state import State
from shared.replay.arrow_rows import arrow_table
from shared.replay.partitioned.assembly import Assembly, CompleteRows
from shared.replay.partitioned.dividing import divided, homes_of, joined, numbered
from shared.replay.partitioned.engine import ReplayEngine
from shared.replay.partitioned.tasks import (
    CONTACTS_ROUND,
    FIRST_ROUND,
    CountRound,
    KeepState,
    SliceFolder,
    TaskResult,
    extras_of,
    state_of,
)
from shared.replay.partitioned.writing import WriteRows
from shared.replay.recurrence import Ordered
from shared.replay.scored_rows import ScoredRows
from shared.replay.sinks import PART_ROWS, Folder, ParquetParts
from shared.replay.sources import ReplayBatch, ReplaySource

MESSAGES = ("feedback", "outcomes")
"""The tables of the messages between transactions, which a file of events has."""
SLICE_ROWS = 8 * PART_ROWS
"""Rows of a time slice: enough that starting tasks costs little, few enough that a partition fits into memory."""


class Spread(Struct, frozen=True):
    """How a replay is spread: `partitions` of history, the rows of a time slice, at least, and those of a file."""

    partitions: int
    slice_rows: int = SLICE_ROWS
    range_rows: int = PART_ROWS


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
    count: int = 0

    def add(self, piece: ReplayBatch) -> None:
        self.facts.append(numbered(piece.chunk, self.count))
        self.rows.append(piece.rows)
        self.count += piece.rows.num_rows

    def complete(self, rows: CompleteRows) -> pa.Table:
        """Return the rows that are complete."""
        every = pa.concat_tables(each for each in self.rows if each.num_rows)
        return every if len(rows.done) == self.count else every.take(pa.array(rows.done))


class PartitionedRun:
    """A replay by the workers of an engine, equal to `ReplayRun` in every feature and record.

    Memory is bounded by the source and the rows of a slice, here, and by the facts and the records of a partition in
    each worker.
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
        """`work` is a folder that all workers reach; rows are written to `out`, None writes none."""
        self._source = source
        self._engine = engine
        self.spread = spread
        self._work = str(work)
        self._scored = scored
        self._out = out
        self._messages = [ParquetParts(Folder(out, name)) for name in MESSAGES] if out else []
        self._assembly = Assembly(source.streams)
        self._places = [0] * source.streams
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
        for parts in self._messages:
            parts.finish()

    def state(self) -> State:
        """Return the state of history at this point. Raises Misconfigured."""
        found = state_of(self._work, self.tally.slices, self.spread.partitions)
        sequence, *others = self._places
        return found._replace(sequence=sequence, others=tuple(others))

    def _next(self, slices: Iterator[tuple[int, _TimeSlice]]) -> tuple[int, _TimeSlice] | None:
        with self.tally.step("read"):
            return next(slices, None)

    def _slices(self) -> Iterator[tuple[int, _TimeSlice]]:
        """Yield slices, and the source rows read by the end of each."""
        pending, done = _TimeSlice(), 0
        for piece in self._source.batches(0):
            pending.add(piece)
            self._write_messages(piece)
            self._places[piece.stream], done = max(self._places[piece.stream], piece.place), piece.done
            if pending.count >= self.spread.slice_rows:
                yield done, pending
                pending = _TimeSlice()
        if pending.facts:
            yield done, pending

    def _write_messages(self, piece: ReplayBatch) -> None:
        told: Sequence[Sequence[FeedbackRow] | Sequence[OutcomeRow]] = (piece.feedback, piece.outcomes)
        for parts, name, rows in zip(self._messages, MESSAGES, told, strict=False):  # none without an `out`
            if rows:
                parts.add(arrow_table(table(name), rows))

    def _replay(self, time_slice: _TimeSlice) -> None:
        folder = SliceFolder(self._work, self.tally.slices, time_slice.count, self.spread.range_rows)
        rows = self._assembly.add(folder.number, time_slice.rows)
        with self.tally.step("divide"):
            homes = self._divide(folder, time_slice)
        rounds = self._rounds(folder)
        self._source.learn(extras_of(folder, homes, {partition: number for number, partition in rounds}))
        with self.tally.step("write"):
            self._finish(folder, rounds, rows, time_slice)
        self.tally.rows += len(rows.done)
        self.tally.slices += 1
        self.tally.rounds.append(max(number for number, _ in rounds) + 1)
        folder.clear(self._assembly.slices())

    def _divide(self, folder: SliceFolder, time_slice: _TimeSlice) -> NDArray[np.int64]:
        """Write the facts of each partition; return the partition of the payer of each event."""
        folder.begin()
        ordered = joined(time_slice.facts)
        for number, facts in enumerate(divided(ordered, self.spread.partitions)):
            self.tally.add(TaskResult(bytes={"facts": folder.put_part(number, facts)}))
        return homes_of(ordered, time_slice.count, self.spread.partitions)

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

    def _finish(
        self, folder: SliceFolder, rounds: Sequence[tuple[int, int]], rows: CompleteRows, time_slice: _TimeSlice
    ) -> None:
        """Write the rows that are complete by the slice, and the state after it."""
        everyone = range(self.spread.partitions)
        tasks: list[KeepState | WriteRows] = [
            KeepState(folder, each, tuple(number for number, partition in rounds if partition == each))
            for each in everyone
        ]
        if self._out and time_slice.count:
            tasks += self._writes(folder, rounds, rows, time_slice.complete(rows))
        self._told(tasks)

    def _writes(
        self, folder: SliceFolder, rounds: Sequence[tuple[int, int]], rows: CompleteRows, complete: pa.Table
    ) -> Iterator[WriteRows]:
        """Write the complete rows of each range for its task, and yield the tasks."""
        written = 0
        for number, edges in enumerate(pairwise(folder.edges)):
            own = rows.between(*edges)
            size = folder.put_rows(number, complete.slice(written, len(own.done)))
            self.tally.add(TaskResult(bytes={"rows": size}))
            yield WriteRows(folder, number, tuple(rounds), own, self._scored, str(self._out), self._files)
            written += len(own.done)
            self._files += bool(len(own.done))

    def _told(self, tasks: Sequence[CountRound] | Sequence[KeepState | WriteRows]) -> list[TaskResult]:
        results = self._engine.run(tasks)
        for each in results:
            self.tally.add(each)
        return results
