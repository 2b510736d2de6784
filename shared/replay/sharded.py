"""Stored rows of a history of several shards as one source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from shared.features.arrays import Floats
from shared.features.verdicts import VerdictLog
from shared.replay.joining import in_step
from shared.replay.sources import LeftOut, ReplayBatch, ReplaySource, StoredRows
from shared.replay.tables import StoredTables


class ShardedRows:
    """The rows of each shard, hour by hour. A transaction comes once from each shard that has counted it."""

    def __init__(self, shards: Sequence[StoredRows]) -> None:
        self._shards = shards
        self.streams = len(shards)
        self.total: int | None = None

    @property
    def left_out(self) -> LeftOut:
        """The rows so far that repeat their predecessor; every shard leaves out the same ones of its own."""
        return LeftOut(duplicates=max(each.left_out.duplicates for each in self._shards))

    @property
    def verdicts(self) -> VerdictLog:
        """The reports of each Pix."""
        return self._shards[0].verdicts

    @property
    def reports(self) -> int:
        """The number of reports."""
        return self._shards[0].reports

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the remaining rows, then the changes after the last row of each shard. Raises PixError."""
        del sequence  # each shard has places of its own
        for number, rows in in_step([each.remaining() for each in self._shards]):
            if (batch := self._shards[number].take(rows)) is not None:
                yield batch._replace(stream=number, done=self._done())
        for number, each in enumerate(self._shards):
            yield each.rest()._replace(stream=number, done=self._done())

    def learn(self, extras: Floats) -> None:
        """Rows have their features already."""

    def note(self) -> bytes:
        """Return the positions in all shards."""
        return msgspec.json.encode([msgspec.Raw(each.note()) for each in self._shards])

    def resume(self, note: bytes) -> None:
        """Continue after the rows already read."""
        for each, own in zip(self._shards, msgspec.json.decode(note, type=list[msgspec.Raw]), strict=True):
            each.resume(bytes(own))

    def _done(self) -> int:
        return sum(each.position for each in self._shards)


class TablesOfShards:
    """The tables as each shard of history counted their rows, staged for one replay."""

    def __init__(self, tables: Sequence[StoredTables], run: str, counted_only: bool) -> None:
        """`run` names the staged files; `counted_only` leaves out transactions that history did not count."""
        self._tables = tables
        self._run = run
        self._counted_only = counted_only

    def stage(self) -> None:
        """Stage the rows of all shards. Raises Unavailable, Misconfigured."""
        for each in self._tables:
            each.stage(self._name(each), self._counted_only)

    def source(self, folder: Path) -> ReplaySource:
        """Return the staged rows; `folder` holds one file of each shard at a time. Raises PixError."""
        found = []
        for each in self._tables:
            (own := folder / str(each.shard.number)).mkdir()
            found.append(each.source(self._name(each), own, self._counted_only))
        return ShardedRows(found) if len(found) > 1 and found[0].placed else found[0]

    def clear(self) -> None:
        """Remove the staged files."""
        for each in self._tables:
            each.clear(self._name(each))

    def _name(self, tables: StoredTables) -> str:
        return f"{self._run}/{tables.shard.number}"
