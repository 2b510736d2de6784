"""The loop of a replay: history, features, rows, and checkpoints to go on from."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.replay.arrow_columns import whole
from shared.replay.arrow_rows import arrow_table, plain_table, score_table
from shared.replay.recurrence import Replay
from shared.replay.sinks import ParquetParts
from shared.replay.sources import ReplayBatch, ReplaySource
from shared.scoring.policy import decide
from shared.scoring.rules import Rules

EVERY = 50
"""Chunks from one checkpoint to the next: some 200,000 lines."""


class _Checkpoint(msgspec.Struct):
    identity: list[str]
    state: str
    transactions: int
    parts: list[int]
    source: msgspec.Raw


class Checkpoints:
    """A folder that holds the last checkpoint of one replay: a state of history and where the replay stood."""

    def __init__(self, folder: Path, identity: list[str]) -> None:
        """`identity` is what the replay was asked for; another one does not go on from here."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = folder / "checkpoint.json"
        self._identity = identity
        self._run = folder / "run"
        self.run = self._run.read_text("ascii") if self._run.exists() else uuid.uuid4().hex
        """Names what the replay leaves elsewhere until it is done; the same when it goes on."""
        self._run.write_text(self.run, "ascii")

    def there(self) -> bool:
        """Tell whether there is a checkpoint."""
        return self._file.exists()

    def load(self, resume: bool) -> tuple[_Checkpoint, State] | None:
        """Return the checkpoint, None if there is none. Raises Misconfigured."""
        with contextlib.suppress(FileNotFoundError):
            found = msgspec.json.decode(self._file.read_bytes(), type=_Checkpoint)
            if not resume:
                raise Misconfigured(
                    f"{self._folder} holds a checkpoint: add --resume to go on from it, or name another"
                )
            if found.identity != self._identity:
                raise Misconfigured(
                    f"the checkpoint in {self._folder} is of another replay: {' '.join(found.identity)}"
                )
            return found, State.load(self._folder / found.state)
        return None

    def save(self, number: int, state: State, transactions: int, parts: list[int], source: bytes) -> None:
        """Replace the checkpoint; a crash in between leaves the old one."""
        name = f"state-{number:06d}.npz"
        state.dump(self._folder / name)
        note = _Checkpoint(self._identity, name, transactions, parts, msgspec.Raw(source))
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(note))
        fresh.replace(self._file)
        self._remove(keep=name)

    def clear(self) -> None:
        """Remove the checkpoint."""
        self._file.unlink(missing_ok=True)
        self._run.unlink(missing_ok=True)
        self._remove()

    def _remove(self, keep: str = "") -> None:
        for file in self._folder.glob("state-*.npz"):
            if file.name != keep:
                file.unlink()


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where rows of both tables go; None: nowhere."""

    scores: ParquetParts | None
    feedback: ParquetParts | None

    def parts(self) -> list[ParquetParts]:
        """Return those that there are."""
        return [each for each in (self.scores, self.feedback) if each is not None]


class Replaying:
    """A replay from a source into sinks. Memory is bounded by the number of keys and of reported transactions."""

    def __init__(self, source: ReplaySource, sinks: Sinks, rules: Rules, key_version: int) -> None:
        self._source = source
        self._sinks = sinks
        self._rules = rules
        self._key_version = key_version
        self._replay = Replay()
        self.transactions = 0

    def run(
        self,
        advance: Callable[[int], None],
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
        every: int = EVERY,
    ) -> None:
        """Replay all, or what a checkpoint leaves; `advance` is told how much of the source is done.

        Raises PixError.
        """
        if checkpoints and (before := checkpoints.load(resume)):
            self._resume(*before)
        for number, piece in enumerate(self._source.pieces(self._replay.sequence), start=1):
            self._take(piece)
            advance(piece.done)
            if checkpoints and number % every == 0:
                for parts in self._sinks.parts():
                    parts.flush()
                counts = [parts.count for parts in self._sinks.parts()]
                checkpoints.save(piece.done, self.state(), self.transactions, counts, self._source.note())

    def state(self) -> State:
        """Return history as it stands now."""
        return self._replay.state()

    def _resume(self, before: _Checkpoint, state: State) -> None:
        self._replay = Replay(state)
        self._source.resume(before.source)
        self.transactions = before.transactions
        for parts, count in zip(self._sinks.parts(), before.parts, strict=True):
            parts.count = count

    def _take(self, piece: ReplayBatch) -> None:
        first = self._replay.sequence + 1
        reads = self._replay.run(piece.chunk)
        self.transactions += piece.rows.num_rows
        if "history_sequence" in piece.rows.column_names and piece.rows.num_rows:
            # A transaction that was counted and whose row is missing has its number all the same.
            last = int(whole(piece.rows["history_sequence"], 0).max())
            self._replay.sequence = max(self._replay.sequence, last)
        if self._sinks.scores and piece.rows.num_rows:
            features = feature_matrix(piece.chunk.events, reads)
            self._sinks.scores.add(score_table(self._decided(piece.rows, features, first), features))
        if self._sinks.feedback and piece.feedback:
            self._sinks.feedback.add(arrow_table(table("feedback"), piece.feedback))

    def _decided(self, rows: pa.Table, features: NDArray[np.float32], first: int) -> pa.Table:
        """Return rows that say what was decided and when: as stored, or else by rules alone and at once."""
        count = rows.num_rows
        missing: dict[str, Sequence[Any]] = {
            "late": [False] * count,
            "degraded": [True] * count,
            "hmac_key_version": [self._key_version] * count,
            "history_sequence": range(first, first + count),
        }
        if "decision" not in rows.column_names:
            outcome = decide(features, [], self._rules.apply(features))
            missing |= {"decision": outcome.decisions, "reasons": outcome.reasons}
        lacking = {name: values for name, values in missing.items() if name not in rows.column_names}
        for name, column in _columns(plain_table(lacking)):
            rows = rows.append_column(name, column)
        return rows if "scored_at" in rows.column_names else rows.append_column("scored_at", rows["initiated_at"])


def _columns(rows: pa.Table) -> list[tuple[str, Any]]:
    return list(zip(rows.column_names, rows.columns, strict=True))
