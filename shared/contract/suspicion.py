"""Suspicions about accounts, as the rows of the register `pix.suspicions` tell them.

A suspicion is opened for a time, may be extended, and ends by its time or by being lifted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from shared.contract.event import EPOCH
from shared.contract.rows import SuspicionRow


class SuspicionEvent(StrEnum):
    """A step in the life of a suspicion."""

    OPENED = "OPENED"
    EXTENDED = "EXTENDED"
    LIFTED = "LIFTED"


class SuspicionState(StrEnum):
    """Whether a suspicion is IN_FORCE, has EXPIRED, or was LIFTED."""

    IN_FORCE = "IN_FORCE"
    EXPIRED = "EXPIRED"
    LIFTED = "LIFTED"


class Suspicion(Struct, frozen=True):
    """A suspicion by its rows, in order of time."""

    rows: tuple[SuspicionRow, ...]

    @property
    def opened(self) -> SuspicionRow:
        """Return the row that opened it."""
        return self.rows[0]

    @property
    def lifted(self) -> SuspicionRow | None:
        """Return the row that lifted it, None without one."""
        return next((each for each in self.rows if each.event == SuspicionEvent.LIFTED), None)

    @property
    def expires_at(self) -> dt.datetime:
        """Return the time at which it ends, or would have ended."""
        last = next(each.expires_at for each in reversed(self.rows) if each.expires_at is not None)
        return EPOCH + dt.timedelta(microseconds=last)

    def standing(self, now: dt.datetime) -> SuspicionState:
        """Return whether it is in force."""
        if self.lifted is not None:
            return SuspicionState.LIFTED
        return SuspicionState.IN_FORCE if now < self.expires_at else SuspicionState.EXPIRED


def suspicions(rows: Iterable[SuspicionRow]) -> list[Suspicion]:
    """Return the suspicions that rows in order of time tell, in the order of their opening."""
    by_id: dict[str, list[SuspicionRow]] = {}
    for each in rows:
        by_id.setdefault(each.suspicion_id, []).append(each)
    return [Suspicion(tuple(each)) for each in by_id.values()]
