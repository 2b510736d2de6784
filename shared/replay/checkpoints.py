"""Checkpoints of a replay, from which an interrupted one resumes."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import msgspec

from shared.errors import Misconfigured
from shared.features.state import State


class Checkpoint(msgspec.Struct):
    """A point to resume a replay from: its identity, state file, counts, and the position of its source (JSON)."""

    identity: list[str]
    state: str
    transactions: int
    parts: list[int]
    source: msgspec.Raw


class Checkpoints:
    """A folder with the last checkpoint of one replay: the state of history and the position of the source."""

    def __init__(self, folder: Path, identity: list[str]) -> None:
        """Use `folder`; only a replay of the same `identity` (its options) resumes from it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = folder / "checkpoint.json"
        self._identity = identity
        self._run = folder / "run"
        self.run = self._run.read_text("ascii") if self._run.exists() else uuid.uuid4().hex
        """The name of everything the replay stages elsewhere; it stays the same when the replay resumes."""
        self._run.write_text(self.run, "ascii")

    def exists(self) -> bool:
        """Return whether there is a checkpoint."""
        return self._file.exists()

    def load(self, resume: bool) -> tuple[Checkpoint, State] | None:
        """Return the checkpoint and its state, or None. Raises Misconfigured."""
        with contextlib.suppress(FileNotFoundError):
            found = msgspec.json.decode(self._file.read_bytes(), type=Checkpoint)
            if not resume:
                raise Misconfigured(
                    f"{self._folder} holds a checkpoint: add --resume to continue from it, or name another folder"
                )
            if found.identity != self._identity:
                raise Misconfigured(
                    f"the checkpoint in {self._folder} belongs to another replay: {' '.join(found.identity)}"
                )
            return found, State.load(self._folder / found.state)
        return None

    def save(self, number: int, state: State, transactions: int, parts: list[int], source: bytes) -> None:
        """Replace the checkpoint; a crash meanwhile keeps the old one."""
        name = f"state-{number:06d}.npz"
        state.dump(self._folder / name)
        note = Checkpoint(self._identity, name, transactions, parts, msgspec.Raw(source))
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
