"""In-memory twins of the adapters: for tests, and for a person who reads what a port means."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract.rows import Record
from shared.errors import Unavailable


class MemoryTable:
    """`shared.ports.Table` over a list; `away` makes it unavailable, `refuses` names rows it will never take."""

    def __init__(self) -> None:
        self.rows: list[Record] = []
        self.away = False
        self.refused_ids: set[str] = set()

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows, all but those it was told to refuse. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the table is away")
        refused = [i for i, row in enumerate(rows) if row.columns().get("end_to_end_id") in self.refused_ids]
        self.rows += [row for i, row in enumerate(rows) if i not in refused]
        return refused
