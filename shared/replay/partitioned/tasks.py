"""Tasks of a replay in partitions, which meet in a folder that all of them reach.

A task reads files that others have written, and writes files of its own, always the same ones, so an engine may
repeat it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.facts import EXTRAS
from shared.features.state import State
from shared.replay.joining import Reads
from shared.replay.partitioned.counting import (
    CountedFacts,
    Handed,
    Memo,
    count_again,
    count_contacts,
    count_others,
    handed_over,
    overlaid,
    read_arrays,
)
from shared.replay.partitioned.dividing import Arrays, PartitionFacts

CONTACTS_ROUND, FIRST_ROUND = 0, 1
"""The round of contacts, and the one of all other records. Later ones count again records that take other values."""


class TaskResult(Struct, frozen=True):
    """The result of a task: the values handed to each partition, and the bytes written, by kind."""

    handed: dict[int, int] = {}
    bytes: dict[str, int] = {}


class Task(Protocol):
    """A piece of work that can be pickled and repeated."""

    def __call__(self) -> TaskResult:
        """Do the work. Raises Misconfigured."""
        ...


class SliceFolder(Struct, frozen=True):
    """The files of one time slice, and the state of history after it and before it."""

    root: str
    number: int
    events: int
    range_rows: int
    """Events of a range, but for the last one."""

    @property
    def edges(self) -> list[int]:
        """The numbers of the events between which ranges lie."""
        return [*range(0, self.events, self.range_rows), self.events]

    @property
    def path(self) -> Path:
        """The folder of the slice."""
        return Path(self.root) / f"slice-{self.number:06d}"

    def begin(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True)

    def clear(self, kept: Collection[int]) -> None:
        """Remove the files of the slice, the state before it, and the reads of slices that are not `kept`."""
        shutil.rmtree(self.path)
        root = Path(self.root)
        for file in [*root.glob(f"state-{self.number - 1:06d}-*.npz"), *root.glob("kept-*.npz")]:
            if file.name[:5] == "state" or int(file.name.split("-")[1]) not in kept:
                file.unlink()

    def before(self, partition: int) -> State:
        """Return the records of a partition before the slice. Raises Misconfigured."""
        return State.load(_state(self.root, self.number - 1, partition)) if self.number else State.empty()

    def keep(self, partition: int, after: State) -> int:
        """Write the records of a partition after the slice; return the bytes."""
        file = _state(self.root, self.number, partition)
        after.dump(file)
        return file.stat().st_size

    def save(self, name: str, arrays: Arrays) -> int:
        """Write arrays; return the bytes."""
        np.savez(self.path / name, **arrays)  # type: ignore[arg-type]  # numpy's stubs: an array may be named as a flag
        return (self.path / name).stat().st_size

    def load(self, name: str) -> Arrays:
        """Return arrays."""
        with np.load(self.path / name) as file:
            return dict(file)

    def part(self, partition: int) -> PartitionFacts:
        """Return the facts of a partition."""
        return PartitionFacts.of(self.load(f"facts-{partition}.npz"))

    def put_part(self, partition: int, facts: PartitionFacts) -> int:
        """Write the facts of a partition; return the bytes."""
        return self.save(f"facts-{partition}.npz", facts.arrays())

    def keep_reads(self, number: int, events: NDArray[np.int64], reads: Reads) -> int:
        """Write reads of events of a range for later slices; return the bytes."""
        file = _kept(self.root, self.number, number)
        np.savez(file, events=events, reads=reads)
        return file.stat().st_size

    def kept_reads(self, number: int, of: int, events: NDArray[np.int64]) -> Reads:
        """Return the reads that slice `number` kept of events of its range `of`."""
        with np.load(_kept(self.root, number, of)) as file:
            found: Reads = file["reads"][np.searchsorted(file["events"], events)]
        return found

    def rows(self, number: int) -> pa.Table:
        """Return the complete rows of a range of events."""
        with pa.ipc.open_file(self.path / f"rows-{number}.arrow") as file:
            return file.read_all()

    def put_rows(self, number: int, rows: pa.Table) -> int:
        """Write the complete rows of a range of events; return the bytes."""
        file = self.path / f"rows-{number}.arrow"
        with pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
        return file.stat().st_size


def state_of(root: str, slices: int, partitions: int) -> State:
    """Return the records of all partitions after some slices; the sequence is not known. Raises Misconfigured."""
    if not slices:
        return State.empty()
    found = State.joined([State.load(_state(root, slices - 1, each)) for each in range(partitions)])
    return found._replace(others=())


def extras_of(folder: SliceFolder, homes: NDArray[np.int64], last: Mapping[int, int]) -> Floats:
    """Return the EXTRAS [n, len(EXTRAS)] of the events of a slice, given the partition of the payer of each [n].

    `last` is the last round in which each partition counted.
    """
    found = np.zeros((len(homes), len(EXTRAS)))
    for partition, turn in last.items():
        memo = Memo(**folder.load(f"memo-{turn}-{partition}.npz"))
        own = np.flatnonzero(homes[memo.events] == partition)
        found[memo.events[own]] = memo.values[own]
    return found


@dataclass(frozen=True, slots=True)
class CountRound:
    """Count the facts of a partition in a round, by the values handed over in the round before."""

    folder: SliceFolder
    partition: int
    number: int
    """Of the round."""
    last: int
    """The round in which the partition counted before; no matter in the first one."""
    senders: tuple[int, ...]
    """The partitions that handed values to this one in the round before."""

    def __call__(self) -> TaskResult:
        """Count, and hand over the values that other partitions take."""
        folder, number = self.folder, self.number
        part, before, memo = folder.part(self.partition), folder.before(self.partition), self._memo()
        memo = memo or Memo.of(part)
        handed = np.zeros(memo.values.shape, dtype=bool)
        for sender in self.senders:
            handed |= Handed(**folder.load(f"handed-{number - 1}-{sender}-{self.partition}.npz")).put(memo)
        known = memo.copy()
        counts = list(self._counted(part, before, memo, handed))
        told = handed_over(part, known, memo)
        for to, values in told.items():
            folder.save(f"handed-{number}-{self.partition}-{to}.npz", values._asdict())
        overlaid(State.empty(), [each.records for each in counts]).dump(self._file("records"))
        np.savez(self._file("memo"), **memo._asdict())
        written = folder.save(self._file("reads").name, read_arrays(counts, np.array(folder.edges)))
        size = sum(sum(each.nbytes for each in values) for values in told.values())
        return TaskResult({to: len(values.events) for to, values in told.items()}, {"handed": size, "reads": written})

    def _counted(
        self, part: PartitionFacts, before: State, memo: Memo, handed: NDArray[np.bool_]
    ) -> Iterator[CountedFacts]:
        if self.number == CONTACTS_ROUND:
            yield count_contacts(part, before, memo)
        elif self.number == FIRST_ROUND:
            yield count_others(part, before, memo)
        else:
            yield from count_again(part, before, memo, handed)

    def _memo(self) -> Memo | None:
        if self.number == CONTACTS_ROUND:
            return None
        return Memo(**self.folder.load(f"memo-{self.last}-{self.partition}.npz"))

    def _file(self, name: str) -> Path:
        return self.folder.path / f"{name}-{self.number}-{self.partition}.npz"


@dataclass(frozen=True, slots=True)
class KeepState:
    """Write the records of a partition after a slice, given the rounds in which it counted."""

    folder: SliceFolder
    partition: int
    rounds: tuple[int, ...]

    def __call__(self) -> TaskResult:
        """Replace the records that changed."""
        files = (self.folder.path / f"records-{each}-{self.partition}.npz" for each in self.rounds)
        after = overlaid(self.folder.before(self.partition), [State.load(file) for file in files])
        return TaskResult(bytes={"state": self.folder.keep(self.partition, after)})


def _state(root: str, number: int, partition: int) -> Path:
    return Path(root) / f"state-{number:06d}-{partition}.npz"


def _kept(root: str, number: int, of: int) -> Path:
    return Path(root) / f"kept-{number:06d}-{of}.npz"
