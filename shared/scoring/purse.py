"""The purse of the control group: a port, so that all instances spend one budget of a day and of a month."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from shared.contract.event import EPOCH
from shared.features.layout import BEHIND_UTC


class Spend(NamedTuple):
    """The cost of a drawn Pix, in centavos."""

    ticket: str
    """Name of the ticket (`shared.scoring.control.Ticket`), under which it is paid once."""
    cost: int
    again: bool
    """Whether the Pix was asked for before: it is paid only if it was paid then, as the first decision stands."""


class Caps(NamedTuple):
    """The most that may be spent in a local day and in a local month, in centavos."""

    day: int
    month: int


class Paid(NamedTuple):
    """The answer of the purse: which spends are paid, and the rest of day and month, whichever is less."""

    paid: list[bool]
    left: int


class Purse(Protocol):
    """The spends so far; all instances of a function share it."""

    async def spend(self, spends: Sequence[Spend], caps: Caps, at: int) -> Paid:
        """Pay spends in their order, each as far as it stays within the caps at a time, microseconds.

        All of a call, or nothing, is spent. A ticket that was paid is paid again without being spent. Without spends
        it only tells the rest. Raises Unavailable; then a spend may have been paid.
        """
        ...


class Period(NamedTuple):
    """The names of a local day and month."""

    day: str
    month: str

    @classmethod
    def at(cls, moment: int) -> Period:
        """Return day and month of a time in microseconds, in Brasília, where customers and budgets have their days.

        >>> Period.at(0)
        Period(day='1969-12-31', month='1969-12')
        """
        local = EPOCH + dt.timedelta(microseconds=moment) - dt.timedelta(seconds=BEHIND_UTC)
        return cls(f"{local:%Y-%m-%d}", f"{local:%Y-%m}")
