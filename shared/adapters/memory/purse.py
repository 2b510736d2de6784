"""`shared.scoring.purse.Purse` in memory, for one process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from shared.errors import Unavailable
from shared.scoring.purse import Caps, Paid, Period, Spend


class MemoryPurse:
    """The spends of one process; `away` makes it unavailable. Tickets are kept as long as the process lives."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        """Centavos by local day and by local month."""
        self.away = False
        self._tickets: set[str] = set()

    async def spend(self, spends: Sequence[Spend], caps: Caps, at: int) -> Paid:
        """Pay spends as far as they stay within the caps. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the purse is away")
        period = Period.at(at)
        paid = [self._pay(each, caps, period) for each in spends]
        return Paid(paid, self._left(caps, period))

    def _pay(self, spend: Spend, caps: Caps, period: Period) -> bool:
        if spend.ticket in self._tickets:
            return True
        if spend.again or spend.cost > self._left(caps, period):
            return False
        self._tickets.add(spend.ticket)
        for name in period:
            self.spent[name] += spend.cost
        return True

    def _left(self, caps: Caps, period: Period) -> int:
        return max(0, min(cap - self.spent[name] for cap, name in zip(caps, period, strict=True)))
