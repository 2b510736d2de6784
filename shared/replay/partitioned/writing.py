"""The task that writes rows of a time slice with their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.replay.arrow_columns import columns_of
from shared.replay.joining import Reads, filled, no_reads
from shared.replay.partitioned.assembly import CompleteRows
from shared.replay.partitioned.counting import put_reads
from shared.replay.partitioned.tasks import SliceFolder, TaskResult
from shared.replay.scored_rows import ScoredRows
from shared.replay.sinks import Folder, ParquetParts


@dataclass(frozen=True, slots=True)
class WriteRows:
    """Write the complete rows of a range of events with their features, given the rounds of each partition.

    Reads of parts whose rows are not complete are kept for later slices.
    """

    folder: SliceFolder
    number: int
    """Of the range in the slice."""
    rounds: tuple[tuple[int, int], ...]
    """Numbers of a round and of a partition that counted in it; later rounds outweigh."""
    rows: CompleteRows
    scored: ScoredRows
    out: str
    file: int
    """Number of the file of rows."""

    def __call__(self) -> TaskResult:
        """Join the reads of all partitions and of earlier parts, and write a file of rows."""
        reads, start, size = self._reads(self.number), self.folder.edges[self.number], 0
        if len(self.rows.kept):
            size = self.folder.keep_reads(self.number, self.rows.kept, reads[self.rows.kept - start])
        if len(self.rows.done):
            self._write(self._filled(reads[self.rows.done - start]))
        return TaskResult(bytes={"kept": size})

    def _write(self, reads: Reads) -> None:
        rows = self.folder.rows(self.number)
        written = ParquetParts(Folder(Path(self.out), "score_events"))
        written.count = self.file
        written.add(self.scored.of(rows, columns_of(rows), reads))
        written.flush()

    def _filled(self, reads: Reads) -> Reads:
        """Return the reads of the rows with those of their earlier parts, the latest part first."""
        of_range: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for row, part in self.rows.earlier:
            of_range.setdefault((part.slice, part.event // self.folder.range_rows), []).append((row, part.event))
        for (number, of), parts in sorted(of_range.items(), reverse=True):
            found = self._parts(number, of, [event for _, event in parts])
            for (row, _), earlier in reversed(list(zip(parts, found, strict=True))):
                reads[row] = filled(reads[row], earlier)
        return reads

    def _parts(self, number: int, of: int, events: Sequence[int]) -> Reads:
        """Return the reads of events of the range `of` of a slice."""
        if number == self.folder.number:
            found: Reads = self._reads(of)[np.array(events) - self.folder.edges[of]]
            return found
        return self.folder.kept_reads(number, of, np.array(events))

    def _reads(self, of: int) -> Reads:
        """Return the reads of all events of a range of this slice."""
        start, stop = self.folder.edges[of : of + 2]
        reads = no_reads(stop - start)
        for turn, partition in self.rounds:
            with np.load(self.folder.path / f"reads-{turn}-{partition}.npz") as arrays:
                put_reads(arrays, of, reads)
        return reads
