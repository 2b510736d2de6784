"""A question about a Pix that another one has claimed waits for the draw of the control group."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.purse import MemoryPurse
from shared.scoring.control import Budget, Ticket
from shared.scoring.control_group import ControlGroup
from shared.scoring.purse import Caps, Paid, Spend
from shared.scoring.reply import DRAW_SECONDS
from tests.builders import transaction
from tests.functions.asking import NOW, Functions
from tests.telemetry import make_telemetry
from tests.unit.learning.bundles import small_bundle

WIDE = Budget(1.0, 1.0, pix=10**12, day=10**12, month=10**12, review=4_00, reserved=0)


class On:
    """A switch that is on."""

    def budget(self) -> Budget:
        return WIDE


class GatedPurse:
    """A purse that pays once its gate is open, and says when it was asked."""

    def __init__(self, purse: MemoryPurse) -> None:
        self._purse = purse
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def spend(self, spends: Sequence[Spend], caps: Caps, at: int) -> Paid:
        self.asked.set()
        await self.gate.wait()
        return await self._purse.spend(spends, caps, at)


def group(purse: MemoryPurse | GatedPurse) -> ControlGroup:
    """Return a control group that draws every Pix."""
    switch: Any = On()
    telemetry = make_telemetry()
    return ControlGroup(switch, purse, lambda id_, side: Ticket(id_ + side, 0.0), lambda: NOW, telemetry.metrics)


def test_the_caller_is_told_what_the_first_claim_has_drawn() -> None:
    async def scenario() -> None:
        purse = MemoryPurse()
        gated = GatedPurse(purse)
        bundle = small_bundle("v1", slope=0.001)  # it stops every Pix
        functions = Functions(MemoryHistoryAdapter(), bundle, controls=(group(gated), group(purse)))
        message = transaction(amount="150.00")
        topic = asyncio.create_task(functions.deliver(message))
        await gated.asked.wait()
        assert (await functions.post(message)).status == 503
        gated.gate.set()
        assert await topic == 204
        (row,) = functions.rows
        assert row.policy_decision != row.decision
        assert (await functions.ask(message))["decision"] == row.decision

    asyncio.run(scenario())


def test_a_claim_whose_owner_is_gone_is_decided_after_a_while() -> None:
    async def scenario() -> None:
        purse = MemoryPurse()
        gated = GatedPurse(purse)
        functions = Functions(
            MemoryHistoryAdapter(), small_bundle("v1", slope=0.001), controls=(group(gated), group(purse))
        )
        message = transaction(amount="150.00")
        topic = asyncio.create_task(functions.deliver(message))
        await gated.asked.wait()
        topic.cancel()
        assert (await functions.post(message)).status == 503
        functions.now += int(DRAW_SECONDS * 1e6)
        assert (await functions.ask(message))["decision"] == functions.rows[-1].decision

    asyncio.run(scenario())
