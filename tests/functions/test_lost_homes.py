"""The home of a Pix falls back while the Pix is asked for: between its ask, its visits, and the note of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from shared.adapters.valkey.clients import Client
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.script import Script
from shared.adapters.valkey.visits import STEP_KEY
from shared.adapters.valkey.wire import Argument, sequence_key
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import ScoreRow
from shared.contract.transaction import decode_transaction
from shared.features.columns import Events
from shared.features.shards import home_of
from shared.operations.filling import Filled
from shared.ports.history import Claim
from tests.builders import encoded
from tests.contract.history_stores import Store
from tests.functions.bank import Bank, message
from tests.functions.conftest import SHARDS
from tests.functions.test_lost_parts import PAYEES, note_lost
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("untold")
HOME = 0
NOTING = ("stored", "change")
"""Commands by which the home is told that the visits of an ask are made."""


class Falling:
    """A client in whose calls the home falls back once, to the state before the ask, or that before the note.

    Another process may ask `again` then, as for a redelivery.
    """

    def __init__(
        self, inner: Client, served: Store, moment: str, keeps_the_ask: bool, again: Events | None = None
    ) -> None:
        self.inner, self.served, self.moment, self.keeps_the_ask = inner, served, moment, keeps_the_ask
        self.again = again
        self.copy: dict[bytes, bytes] = {}
        self.visited = self.fallen = False

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        command = arguments[0]
        notes = self.visited and command in NOTING and keys[0] == sequence_key(HOME, SHARDS)
        if command == "observe" and not self.copy:
            self.copy = await self.served.copying(HOME)
        if notes and self.keeps_the_ask and not self.fallen:
            self.copy = await self.served.copying(HOME)
        await self._at("before the visits", command == "visit")
        await self._at("before the note", notes)
        found = await self.inner.run(script, keys, arguments)
        self.visited |= command == "visit"
        await self._at("after the note", notes)
        return found

    async def reach(self) -> None:
        await self.inner.reach()

    async def close(self) -> None:
        await self.inner.close()

    async def _at(self, moment: str, reached: bool) -> None:
        if reached and moment == self.moment and not self.fallen:
            self.fallen = True
            await self.served.falling_back(HOME, self.copy)
            if self.again:
                await self.served.client().observe(self.again, Claim(None, self.again[0].initiated_at + 2_000_000))


def pix_at_home(local: str, payee: int, **changes: Any) -> dict[str, Any]:
    """Return a message about a Pix whose home is HOME."""
    while True:
        found = message(local, "100.00", payee, **changes)
        if home_of([found["end_to_end_id"]], SHARDS)[0] == HOME:
            return found


def asked_while_falling(
    bank: Bank, served: Store, moment: str, keeps_the_ask: bool = False, again: bool = False
) -> ScoreRow:
    """Return the row of a Pix in whose ask the home falls back."""
    history, asked = bank.history.history, pix_at_home("11-20T11:00", 1)
    assert isinstance(history, ValkeyHistory)
    events = Events([event_of(decode_transaction(encoded(asked)).value, Pseudonymiser(b"test"))]) if again else None
    inner, history.store = history.store, Falling(history.store, served, moment, keeps_the_ask, events)
    row = bank.score(asked)
    assert history.store.fallen
    history.store = inner
    return row


def look(bank: Bank) -> None:
    """Ask for Pix of all accounts, at each home, so that the home counts in an epoch of its own."""
    for payee in range(1, 1 + PAYEES):
        bank.score(pix_at_home(f"11-20T11:1{payee}", payee))


@pytest.mark.parametrize("outcomes", ["assumed", "published"])
@pytest.mark.parametrize("moment", ["before the visits", "before the note", "after the note"])
@pytest.mark.parametrize("again", [False, True])
def test_an_ask_that_its_home_loses_is_counted_again(sharded: Store, outcomes: str, moment: str, again: bool) -> None:
    bank = Bank(sharded, outcomes)
    for payee in range(1, 1 + PAYEES):
        bank.pay(f"11-20T10:0{payee}", "100.00", payee=payee)
    row = asked_while_falling(bank, sharded, moment, again=again)
    assert row.visited
    look(bank)
    assert HOME in [each.shard for each in note_lost(bank)]
    pending = {each.event.end_to_end_id for each in bank.tables.counted if each.place_pending}
    assert row.event.end_to_end_id in pending
    filled = bank.fill()
    assert (filled.decisions, filled.left) == (len(pending), 0)
    bank.tell(row, "SETTLED")
    look(bank)
    assert bank.fill().decisions == 0
    bank.replay()


@pytest.mark.parametrize("outcomes", ["assumed", "published"])
def test_a_home_that_loses_the_note_alone_keeps_place_and_reads(sharded: Store, outcomes: str) -> None:
    bank = Bank(sharded, outcomes)
    for payee in range(1, 1 + PAYEES):
        bank.pay(f"11-20T10:0{payee}", "100.00", payee=payee)
    row = asked_while_falling(bank, sharded, "after the note", keeps_the_ask=True)
    look(bank)
    note_lost(bank)
    assert bank.fill().left == 0
    bank.tell(row, "SETTLED")
    (kept,) = (each for each in bank.tables.counted if each.event.end_to_end_id == row.event.end_to_end_id)
    assert (kept.history_sequence, kept.visited) == (row.history_sequence, row.visited)
    assert np.array_equal(kept.features, row.features, equal_nan=True)
    look(bank)
    bank.replay()


def test_the_audit_finds_an_ask_that_was_visited_again_once_its_visits_were_forgotten(sharded: Store) -> None:
    """A limit of recovery: the home keeps the ask alone, and nobody asks or tells before the steps expire."""
    bank = Bank(sharded, "published")
    bank.history.history = history = sharded.client(life_seconds=1)
    inner, history.store = history.store, Falling(history.store, sharded, "never", keeps_the_ask=True)
    falling = history.store
    row = bank.score(pix_at_home("11-20T11:00", 1))
    history.store = inner
    sharded.run(history.settle())
    sharded.fall_back(HOME, falling.copy)
    until(lambda: not steps(sharded))
    bank.tell(row, "SETTLED")
    look(bank)
    note_lost(bank)
    assert bank.fill() == Filled()
    with pytest.raises(AssertionError, match="payer_asked_1h"):
        bank.replay()


def steps(served: Store) -> list[bytes]:
    """Return the names of the steps by which shards know that they have made visits."""
    names = [name for name in served.run(served.redis.keys()) if isinstance(name, bytes)]
    return [name for name in names if name.partition(b"}")[2][:1] == STEP_KEY.encode()]
