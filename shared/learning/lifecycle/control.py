"""Switch the control group (`shared.scoring.control`) on and off: an object in the bucket, and a row in the ledger.

The object is written first, on condition that nobody else changed it since it was read. If its row could not be
appended then, the next command appends it: the row derives from the object alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import Misconfigured, Unavailable
from shared.learning.lifecycle.pointer import REASON_MAX, parse_time, write_object
from shared.learning.ports import Ledger
from shared.ports.blobs import Blobs
from shared.scoring.control import CONTROL, Budget, Switch

ON, OFF = "CONTROL_ON", "CONTROL_OFF"
"""Actions in the ledger."""


class ControlResult(Struct, frozen=True):
    """The switch as it stands now, and whether the ledger has its last change.

    `outcome` is SWITCHED, or UNCHANGED if it stood like that before.
    """

    outcome: str
    switch: Switch | None
    recorded: bool


@dataclass(frozen=True, slots=True)
class ControlCommands:
    """Changes of the switch by `actor`."""

    blobs: Blobs
    ledger: Ledger
    clock: Callable[[], dt.datetime]
    actor: str

    def turn(self, budget: Budget | None, reason: str) -> ControlResult:
        """Switch on with a budget, off without one.

        Raises PreconditionFailed, Unavailable; then nothing has changed.
        """
        blob = self.blobs.read(CONTROL)
        before = _decoded(blob.data) if blob else None
        if (before.budget if before else None) == budget and (before or not blob):
            return ControlResult("UNCHANGED", before, self._recorded(before))
        self._recorded(before)
        switch = Switch(budget, self.clock().isoformat(), self.actor, reason[:REASON_MAX])
        write_object(self.blobs, CONTROL, msgspec.json.encode(switch), blob.generation if blob else 0)
        return ControlResult("SWITCHED", switch, self._recorded(switch))

    def show(self) -> ControlResult:
        """Return the switch as it stands. Raises Misconfigured if it cannot be decoded, Unavailable."""
        blob = self.blobs.read(CONTROL)
        switch = _decoded(blob.data) if blob else None
        if blob and not switch:
            raise Misconfigured(f"{CONTROL} is not a valid switch, so the control group is off: switch it on or off")
        return ControlResult("UNCHANGED", switch, self._recorded(switch))

    def _recorded(self, switch: Switch | None) -> bool:
        """Append the row of the last change, unless the ledger has it; return whether it has it now."""
        if switch is None:
            return True
        row = control_row(switch)
        with suppress(Unavailable):
            if row not in self.ledger.rows(parse_time(switch.changed_at)):
                self.ledger.append(row)
            return True
        return False


def control_row(switch: Switch) -> LedgerRow:
    """Return the ledger's row of the last change of a switch, with actor and budget."""
    budget = f": {describe(switch.budget)}" if switch.budget else ""
    return LedgerRow(
        recorded_at=micros(parse_time(switch.changed_at)),
        action=ON if switch.budget else OFF,
        actor=switch.actor,
        reason=f"{switch.reason}{budget}",
    )


def describe(budget: Budget) -> str:
    """Return a budget in words.

    >>> describe(Budget(0.05, 0.2, pix=200_00, day=1_000_00, month=20_000_00, review=4_00, reserved=100_00))
    'share 5 %, of rejects 20 %, up to BRL 200.00 a Pix, 1,000.00 a day (100.00 for rejects alone), 20,000.00 a month;
    a review costs BRL 4.00'
    """
    amounts = (budget.pix, budget.day, budget.reserved, budget.month, budget.review)
    pix, day, reserved, month, review = (f"{each / 100:,.2f}" for each in amounts)
    share = f"share {100 * budget.share:g} %, of rejects {100 * budget.reject_share:g} %, up to BRL {pix} a Pix"
    return f"{share}, {day} a day ({reserved} for rejects alone), {month} a month; a review costs BRL {review}"


def _decoded(data: bytes) -> Switch | None:
    try:
        switch = msgspec.json.decode(data, type=Switch)
        parse_time(switch.changed_at)
    except (msgspec.MsgspecError, ValueError):
        return None
    return switch
