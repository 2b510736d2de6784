"""The loop of a replay: history, features, rows and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.replay.arrow_columns import columns_of
from shared.replay.arrow_rows import arrow_table, plain_table, score_table
from shared.replay.checkpoints import Checkpoint, Checkpoints
from shared.replay.joining import Joined, parts_of
from shared.replay.recurrence import Replay
from shared.replay.sinks import ParquetParts
from shared.replay.sources import ReplayBatch, ReplaySource
from shared.scoring.policy import decide
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
        self._rules = rules
        self._key_version = key_version
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
        self._source.learn(reads)
        self._places[piece.stream] = max(self._places[piece.stream], piece.place)
        rows, events = piece.rows, piece.chunk.events
        if self._source.streams > 1 and rows.num_rows:
            done, reads = self._joined.add(rows["end_to_end_id"].to_pylist(), parts_of(rows), reads)
            rows = rows.take(pa.array(done))
            events = columns_of(rows)
        self.transactions += rows.num_rows
        if self._sinks.scores and rows.num_rows:
            features = feature_matrix(events, reads)
            self._sinks.scores.add(score_table(self._decided(rows, features), features))
        if self._sinks.feedback and piece.feedback:
            self._sinks.feedback.add(arrow_table(table("feedback"), piece.feedback))
        if self._sinks.outcomes and piece.outcomes:
            self._sinks.outcomes.add(arrow_table(table("outcomes"), piece.outcomes))

    def _decided(self, rows: pa.Table, features: NDArray[np.float32]) -> pa.Table:
        """Return rows with a decision and its time: as stored, otherwise by rules alone at the time of the Pix."""
        count = rows.num_rows
        missing: dict[str, Sequence[Any]] = {
            "late": [False] * count,
            "degraded": [True] * count,
            "hmac_key_version": [self._key_version] * count,
        }
        if "decision" not in rows.column_names:
            outcome = decide(features, [], self._rules.apply(features), _due(rows))
            missing |= {"decision": outcome.decisions, "reasons": outcome.reasons, "hold_until": outcome.hold_until}
        lacking = {name: values for name, values in missing.items() if name not in rows.column_names}
        for name, column in _columns(plain_table(lacking)):
            rows = rows.append_column(name, column)
        return rows if "scored_at" in rows.column_names else rows.append_column("scored_at", rows["initiated_at"])


def _places(start: State | None, streams: int) -> list[int]:
    """Return the last place in each stream of a source. Raises Misconfigured."""
    if start is None or start.places == (0,):
        return [0] * streams
    if len(start.places) != streams:
        raise Misconfigured(f"the state holds {len(start.places)} shards of history, and its rows {streams}")
    return list(start.places)


def _due(rows: pa.Table) -> NDArray[np.int64]:
    """Return the time in microseconds at which each Pix was to be sent, [n]."""
    due = pc.coalesce(rows["scheduled_for"], rows["initiated_at"])
    found: NDArray[np.int64] = due.to_numpy().astype("datetime64[us]").astype(np.int64)
    return found


def _columns(rows: pa.Table) -> list[tuple[str, Any]]:
    return list(zip(rows.column_names, rows.columns, strict=True))
