"""Move the pointer by hand: promote a version, or roll back to the previous one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from shared.errors import Unavailable
from shared.learning.lifecycle.pointer import MoveCause, PointerState, previous_version, read_pointer
from shared.learning.lifecycle.reconcile import pending_moves, record_missing_moves
from shared.learning.lifecycle.release import ReleasePorts, set_aliases, swap_and_record
from shared.learning.ports import Ledger, Registry
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Pointer


class MoveResult(Struct, frozen=True):
    """The version before the move, the version that serves now, and whether the ledger has recorded it.

    `outcome` is PROMOTED or ROLLED_BACK; ALREADY_SERVES if the version served already; FINISHED if an interrupted
    rollback had already moved the pointer and only its ledger row was missing.
    """

    outcome: str
    from_version: str | None
    version: str
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class OperatorMove:
    """Moves of the pointer by `actor`; `registry` is called only after the pointer has moved."""

    blobs: Blobs
    registry: Callable[[], Registry]
    ledger: Ledger
    clock: Callable[[], dt.datetime]
    actor: str

    def promote(self, version: str, reason: str, over: PointerState | None = None) -> MoveResult:
        """Point to `version`, if the pointer is still as it was read: in `over`, or else now.

        Raises PreconditionFailed, BundleRefused, Unavailable; then nothing has changed.
        """
        state = over or read_pointer(self.blobs)
        if state.pointer and state.version == version:
            recorded = not pending_moves(self.blobs, self.ledger, state)
            return self._unmoved("ALREADY_SERVES", state.pointer, recorded)
        return self._move(state, version, "SWAP", reason)

    def rollback(self, reason: str, over: PointerState | None = None) -> MoveResult:
        """Point to the previous version, as `promote` does. Raises Misconfigured too if there is none.

        Repeating a rollback that was killed before its ledger row was written finishes it, and does not undo it.
        """
        state = over or read_pointer(self.blobs)
        version = previous_version(state)
        if state.pointer and state.pointer.action == "ROLLBACK" and self._was_interrupted(state):
            return self._unmoved("FINISHED", state.pointer, recorded=True)
        return self._move(state, version, "ROLLBACK", reason)

    def _was_interrupted(self, state: PointerState) -> bool:
        """Return whether the last move lacked its ledger row, which is written now."""
        try:
            return state.moves[-1] in record_missing_moves(self.blobs, self.ledger, state)
        except Unavailable:
            return False

    def _move(
        self, state: PointerState, version: str, action: Literal["SWAP", "ROLLBACK"], reason: str
    ) -> MoveResult:
        pending = pending_moves(self.blobs, self.ledger, state)
        cause = MoveCause(self.clock(), self.actor, reason, action)
        ports = ReleasePorts(self.blobs, self.ledger, self.registry)
        _, recorded = swap_and_record(ports, state, version, cause, pending)
        outcome = "PROMOTED" if action == "SWAP" else "ROLLED_BACK"
        return MoveResult(outcome, state.version, version, recorded)

    def _unmoved(self, outcome: str, pointer: Pointer, recorded: bool) -> MoveResult:
        set_aliases(self.registry, pointer)
        return MoveResult(outcome, pointer.previous, pointer.version, recorded)
