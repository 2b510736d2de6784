"""Decisions on their way to `pix-decisions`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.contract.decision import DecisionMessage
from shared.contract.rows import ScoreRow
from shared.errors import PixError, Unavailable
from shared.ports.decisions import DecisionPublisher
from shared.settings import ALL

_APPROVE = "APPROVE"


class Announcer:
    """Publish the first decisions about Pix, all or those that stop one, once their rows are stored.

    At least once: a message whose decision could not be published is delivered again, and its row is stored and its
    decision published again, the same. A decision whose row was stored and noted before is not published again.
    """

    def __init__(self, publisher: DecisionPublisher, which: str) -> None:
        """Publish ALL decisions, or the STOPPED ones (`shared.settings`)."""
        self._publisher = publisher
        self._all = which == ALL

    async def announce(self, rows: Sequence[ScoreRow], indexes: Iterable[int]) -> dict[int, PixError]:
        """Publish the decisions in some rows; return the error of each that is not known to be published."""
        chosen = [i for i in indexes if self._all or rows[i].decision != _APPROVE]
        if not chosen:
            return {}
        try:
            await self._publisher.publish([DecisionMessage.decided(rows[i]) for i in chosen])
        except Unavailable as error:
            return dict.fromkeys(chosen, error)
        return {}
