"""The loop of a replay: history, features, rows and checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.features.state import State
from shared.replay.arrow_columns import columns_of
from shared.replay.arrow_rows import arrow_table
from shared.replay.checkpoints import Checkpoint, Checkpoints
from shared.replay.joining import Joined, parts_of
from shared.replay.recurrence import Replay
from shared.replay.scored_rows import ScoredRows
from shared.replay.sinks import ParquetParts
from shared.replay.sources import ReplayBatch, ReplaySource
from shared.scoring.rules import Rules

EVERY = 50
"""Chunks between checkpoints: some 200,000 lines."""


@dataclass(frozen=True, slots=True)
class Sinks:
    """Writers of the rows of each table; None writes no rows."""

    scores: ParquetParts | None
    feedback: ParquetParts | None
    outcomes: ParquetParts | None

    def parts(self) -> list[ParquetParts]:
        """The writers that exist."""
        return [each for each in (self.scores, self.feedback, self.outcomes) if each is not None]


class ReplayRun:
    """A replay from a source into sinks. Memory is bounded by the number of keys and of reported transactions."""

    def __init__(
        self, source: ReplaySource, sinks: Sinks, rules: Rules, key_version: int, start: State | None = None
    ) -> None:
        """Continue from `start`, which history was in before the source's first change; None: before any.

        Raises Misconfigured if `start` has the records of another number of shards.
        """
        self._source = source
        self._sinks = sinks
        self._scored = ScoredRows(rules, key_version)
        self._replay = Replay(start)
        self._places = _places(start, source.streams)
        self._joined = Joined()
        self.transactions = 0

    def run(
        self,
        advance: Callable[[int], None],
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
        every: int = EVERY,
    ) -> None:
        """Replay the source, from a checkpoint if there is one; `advance` receives the source rows or lines done.

        Raises PixError.
        """
        if checkpoints and (before := checkpoints.load(resume)):
            self._resume(*before)
        for number, piece in enumerate(self._source.batches(self._places[0]), start=1):
            self._take(piece)
            advance(piece.done)
            if checkpoints and number % every == 0:
                for parts in self._sinks.parts():
                    parts.flush()
                counts = [parts.count for parts in self._sinks.parts()]
                note = msgspec.json.encode([msgspec.Raw(self._source.note()), self._joined.note()])
                checkpoints.save(piece.done, self.state(), self.transactions, counts, note)

    def state(self) -> State:
        """Return the state of history at this point."""
        sequence, *others = self._places
        return self._replay.state()._replace(sequence=sequence, others=tuple(others))

    def _resume(self, before: Checkpoint, state: State) -> None:
        self._replay, self._places = Replay(state), _places(state, self._source.streams)
        source, joined = msgspec.json.decode(before.source, type=tuple[msgspec.Raw, Any])
        self._source.resume(bytes(source))
        self._joined.resume(joined)
        self.transactions = before.transactions
        for parts, count in zip(self._sinks.parts(), before.parts, strict=True):
            parts.count = count

    def _take(self, piece: ReplayBatch) -> None:
        reads = self._replay.run(piece.chunk)
        self._source.learn(self._replay.extras(piece.chunk.slots))
        self._places[piece.stream] = max(self._places[piece.stream], piece.place)
        rows, events = piece.rows, piece.chunk.events
        if self._source.streams > 1 and rows.num_rows:
            done, reads = self._joined.add(rows["end_to_end_id"].to_pylist(), parts_of(rows), reads)
            rows = rows.take(pa.array(done))
            events = columns_of(rows)
        self.transactions += rows.num_rows
        if self._sinks.scores and rows.num_rows:
            self._sinks.scores.add(self._scored.of(rows, events, reads))
        if self._sinks.feedback and piece.feedback:
            self._sinks.feedback.add(arrow_table(table("feedback"), piece.feedback))
        if self._sinks.outcomes and piece.outcomes:
            self._sinks.outcomes.add(arrow_table(table("outcomes"), piece.outcomes))


def _places(start: State | None, streams: int) -> list[int]:
    """Return the last place in each stream of a source. Raises Misconfigured."""
    if start is None or start.places == (0,):
        return [0] * streams
    if len(start.places) != streams:
        raise Misconfigured(f"the state holds {len(start.places)} shards of history, and its rows {streams}")
    return list(start.places)
