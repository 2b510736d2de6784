"""`shared.scoring.purse.Purse` in Valkey or Redis, which all instances share.

Its keys have a hash tag of their own, so they are on one primary of a cluster however many shards history has, and no
new layout of records loses them. A store that is emptied, or falls back by a failover, forgets its spends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from shared.adapters.valkey.clients import Client
from shared.adapters.valkey.script import Script
from shared.scoring.purse import Caps, Paid, Period, Spend

TAG = "{pix:control}"
_DAY_SECONDS, _MONTH_SECONDS = 3 * 86_400, 33 * 86_400
"""Longer than a day and a month by two days: clocks of instances differ."""


class ValkeyPurse:
    """The spends of all instances; tickets are kept for `ticket_seconds`, as long as a message may come back."""

    def __init__(self, store: Client, ticket_seconds: int) -> None:
        self._store = store
        self._ticket_seconds = ticket_seconds

    async def spend(self, spends: Sequence[Spend], caps: Caps, at: int) -> Paid:
        """Pay spends as far as they stay within the caps. Raises Unavailable."""
        period = Period.at(at)
        keys = [TAG + period.day, TAG + period.month, *(f"{TAG}:{each.ticket}" for each in spends)]
        kept = (_DAY_SECONDS, _MONTH_SECONDS, self._ticket_seconds)
        costs = [number for each in spends for number in (each.cost, int(each.again))]
        left, *paid = await self._store.run(_script(), keys, [*caps, *kept, *costs])
        return Paid([each == 1 for each in paid], left)


@cache
def _script() -> Script:
    return Script.of(Path(__file__).with_name("purse.lua").read_text("utf-8"))
