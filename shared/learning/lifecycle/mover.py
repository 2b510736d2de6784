"""Move the pointer by hand, and write it down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from shared.errors import Unavailable
from shared.learning.lifecycle.pointer import MoveCause, PointerState, moves, previous, standing
from shared.learning.lifecycle.reconcile import carried, unrecorded
from shared.learning.lifecycle.release import ReleasePorts, appointed, serve
from shared.learning.ports import Ledger, Registry
from shared.ports import Blobs
from shared.scoring.bundle import Pointer


class Moved(Struct, frozen=True):
    """The version that served, and the one that serves now; `recorded` is whether the ledger knows it yet.

    `outcome` is PROMOTED or ROLLED_BACK; ALREADY_SERVES where there was nothing to move, and FINISHED where an
    earlier rollback had moved the pointer and was cut off before it was written down.
    """

    outcome: str
    from_version: str | None
    version: str
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class Mover:
    """Everything that moving the pointer touches."""

    blobs: Blobs
    registry: Callable[[], Registry]
    ledger: Ledger
    clock: Callable[[], dt.datetime]
    actor: str

    def promote(self, version: str, reason: str) -> Moved:
        """Let `version` serve. Raises PreconditionFailed, BundleRefused, Unavailable; then nothing has changed."""
        read = standing(self.blobs)
        if read.pointer and read.version == version:
            return self._stays("ALREADY_SERVES", read.pointer, recorded=not carried(self.blobs, self.ledger, read))
        return self._move(read, version, "SWAP", reason)

    def rollback(self, reason: str) -> Moved:
        """Let the version before serve again. Raises as `promote`, and Misconfigured if there is none.

        A rollback that was cut off before it was written down is finished, and not undone by being run again.
        """
        read = standing(self.blobs)
        version = previous(read)
        if read.pointer and read.pointer.action == "ROLLBACK" and self._was_cut_off(read):
            return self._stays("FINISHED", read.pointer, recorded=True)
        return self._move(read, version, "ROLLBACK", reason)

    def _was_cut_off(self, read: PointerState) -> bool:
        try:
            return moves(read)[-1] in unrecorded(self.blobs, self.ledger, read)
        except Unavailable:
            return False

    def _move(self, read: PointerState, version: str, action: Literal["SWAP", "ROLLBACK"], reason: str) -> Moved:
        pending = carried(self.blobs, self.ledger, read)
        cause = MoveCause(self.clock(), self.actor, reason, action)
        _, known = serve(ReleasePorts(self.blobs, self.ledger, self.registry), read, version, cause, pending)
        outcome = "PROMOTED" if action == "SWAP" else "ROLLED_BACK"
        return Moved(outcome, read.version, version, known)

    def _stays(self, outcome: str, pointer: Pointer, recorded: bool) -> Moved:
        appointed(self.registry, pointer)
        return Moved(outcome, pointer.previous, pointer.version, recorded)
