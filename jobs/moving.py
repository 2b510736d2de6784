"""Move the pointer by hand, and write it down."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import Unavailable
from shared.learning.ports import Registry
from shared.learning.publish import Standing, previous, standing, swap
from shared.ports import Blobs

log = logging.getLogger(__name__)


class Moved(Struct, frozen=True):
    """The version that served, and the one that serves now."""

    outcome: str
    from_version: str | None
    version: str


@dataclass(frozen=True, slots=True)
class Mover:
    """Everything that moving the pointer touches."""

    blobs: Blobs
    registry: Callable[[], Registry]
    ledger: Callable[[LedgerRow], None]
    clock: Callable[[], dt.datetime]
    actor: str

    def promote(self, version: str, reason: str) -> Moved:
        """Let `version` serve. Raises PreconditionFailed, BundleRefused, Unavailable; then nothing has changed."""
        return self._move(standing(self.blobs), version, "SWAP", reason)

    def rollback(self, reason: str) -> Moved:
        """Let the version before serve again. Raises as `promote`, and Misconfigured if there is none."""
        read = standing(self.blobs)
        return self._move(read, previous(read), "ROLLBACK", reason)

    def _move(self, read: Standing, version: str, action: str, reason: str) -> Moved:
        swap(self.blobs, version, self.clock(), read)
        self.ledger(LedgerRow(micros(self.clock()), action, self.actor, reason, read.version, version))
        try:
            self.registry().appoint(version)
        except Unavailable as error:  # what serves is the pointer; aliases must not stand in the way of a rollback
            log.warning("aliases are as before", extra={"fields": {"version": version, "reason": str(error)}})
        return Moved({"SWAP": "PROMOTED"}.get(action, "ROLLED_BACK"), read.version, version)
