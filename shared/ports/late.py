"""Ports of late outcomes: those of Pix that history has forgotten, which a job counts together."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple, Protocol

from shared.contract.rows import OutcomeRow


class LatePeriod(NamedTuple):
    """Late outcomes received from `since` on, as they wait at `now`."""

    since: dt.datetime
    now: dt.datetime
    seconds: float
    """Time for which one of them waits before all are counted, and after an attempt that found no place of its Pix.

    That time doubles with each attempt.
    """


class LateOutcomes(Protocol):
    """Stored outcomes that came when history had forgotten their Pix."""

    def waiting(self, period: LatePeriod, limit: int) -> list[OutcomeRow]:
        """Return up to `limit` outcomes to count, those of a day of Pix together; none before one is due.

        Raises Unavailable, Misconfigured.
        """
        ...
