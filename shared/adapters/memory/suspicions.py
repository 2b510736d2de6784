"""The in-memory twin of the register of suspicions."""

from __future__ import annotations

from shared.contract.rows import SuspicionRow
from shared.errors import Unavailable


class MemorySuspicions:
    """`shared.desk.ports.SuspicionRows` over a list; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.stored: list[SuspicionRow] = []
        self.away = False

    def append(self, row: SuspicionRow) -> None:
        """Append a row. Raises Unavailable while away."""
        self._check()
        self.stored.append(row)

    def rows(self, account_id: str | None) -> list[SuspicionRow]:
        """Return the rows of an account, or all, in order of time and once each. Raises Unavailable while away."""
        self._check()
        once = {each.event_id: each for each in self.stored if account_id in (None, each.account_id)}
        return sorted(once.values(), key=lambda each: (each.at, each.event_id))

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the register is away")
