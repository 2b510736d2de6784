"""Streams as a source of a replay, replayed in one process and in partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from shared.contract.event import Event
from shared.features.arrays import Floats
from shared.features.state import State
from shared.features.verdicts import VerdictLog
from shared.replay.arrow_rows import plain_table
from shared.replay.partitioned.engine import InlineEngine, ReplayEngine
from shared.replay.partitioned.run import PartitionedRun, SliceTally, Spread
from shared.replay.run import ReplayRun, Sinks
from shared.replay.scored_rows import ScoredRows
from shared.replay.sinks import Folder, ParquetParts
from shared.replay.sources import LeftOut, ReplayBatch, ReplaySource
from shared.scoring.rules import Rules
from tests.unit.lives import chunk_of
from tests.unit.replays import records, table_of
from tests.unit.streams import Attempt, Item

SCORED = ScoredRows(Rules([]), 1)


class Items:
    """A stream in batches of some items."""

    total: int | None = None
    streams = 1
    left_out = LeftOut()
    verdicts = VerdictLog()
    reports = 0

    def __init__(self, items: Sequence[Item], size: int) -> None:
        self._items = items
        self._size = size

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        assert not sequence
        for start in range(0, len(self._items), self._size):
            some = self._items[start : start + self._size]
            done = start + len(some)
            yield ReplayBatch(rows_of(some), chunk_of(some), [], [], done, done)

    def note(self) -> bytes:
        return b"{}"

    def resume(self, note: bytes) -> None:
        raise NotImplementedError

    def learn(self, extras: Floats) -> None:
        pass


def rows_of(items: Sequence[Item]) -> pa.Table:
    """Return the rows of the events among items."""
    events = [each.event if isinstance(each, Attempt) else each for each in items]
    asked = [msgspec.structs.asdict(each) for each in events if isinstance(each, Event)]
    return plain_table({name: [each[name] for each in asked] for name in Event.__struct_fields__})


def replayed(source: ReplaySource, out: Path) -> tuple[pa.Table | None, State]:
    """Return the rows and the state of a replay in one process."""
    parts = ParquetParts(Folder(out, "score_events"))
    run = ReplayRun(source, Sinks(parts, None, None), SCORED.rules, SCORED.key_version)
    run.run(lambda _: None)
    parts.finish()
    return rows_in(out), run.state()


def replayed_in_partitions(
    source: ReplaySource, out: Path, spread: Spread, engine: ReplayEngine | None = None
) -> tuple[pa.Table | None, State, SliceTally]:
    """Return the rows and the state of a replay in partitions, and its counts."""
    run = PartitionedRun(source, engine or InlineEngine(), spread, out / "work", SCORED, out)
    run.run(lambda _: None)
    return rows_in(out), run.state(), run.tally


def rows_in(folder: Path) -> pa.Table | None:
    """Return the rows that a replay wrote, None for none."""
    return table_of(folder, "score_events") if list(folder.glob("score_events-*.parquet")) else None


def assert_same(one: tuple[pa.Table | None, State], other: tuple[pa.Table | None, State]) -> None:
    """Agree in every bit of every feature and record."""
    assert (one[0] is None) == (other[0] is None)
    assert one[0] is None or one[0].equals(other[0])
    assert sorted(records(one[1])) == sorted(records(other[1]))
    assert one[1].places == other[1].places
    assert _payers(one[1]) == _payers(other[1])


def _payers(state: State) -> dict[int, int]:
    return dict(zip(state.contacts.keys.tolist(), state.payers.tolist(), strict=True))
