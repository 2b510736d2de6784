"""The in-memory twin behind the desk's pages of health and models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from shared.contract.event import micros
from shared.contract.rows import HealthRow, LedgerRow
from shared.errors import Unavailable


class MemoryWatch:
    """`shared.desk.ports.Watch` over lists; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.measured: list[HealthRow] = []
        self.moves: list[LedgerRow] = []
        self.away = False

    async def health(self, since: dt.datetime, measures: Sequence[str]) -> Sequence[HealthRow]:
        """Return some measures of days from `since` on. Raises Unavailable while away."""
        self._check()
        return [row for row in self.measured if row.day >= micros(since) and row.measure in measures]

    async def ledger(self, most: int) -> Sequence[LedgerRow]:
        """Return the latest events of models, latest first. Raises Unavailable while away."""
        self._check()
        return sorted(self.moves, key=lambda row: -row.recorded_at)[:most]

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the rows of health are away")
