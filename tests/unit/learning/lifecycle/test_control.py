"""The switch of the control group: every change is in the bucket and in the ledger, once, whatever is interrupted."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from shared.adapters.memory.learning import MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.learning.lifecycle.control import ControlCommands
from shared.ports.blobs import Blob
from shared.scoring.control import CONTROL, Budget, Switch

AT = dt.datetime(2026, 11, 20, 14, 32, 5, 123456, tzinfo=dt.UTC)
SMALL = Budget(0.05, 0.05, pix=200_00, day=1_000_00, month=20_000_00, review=4_00, reserved=0)
LARGER = msgspec.structs.replace(SMALL, share=0.1)


class Desk:
    """An operator's commands over memory, a minute apart."""

    def __init__(self) -> None:
        self.blobs, self.ledger, self.time = MemoryBlobs(), MemoryLedger(), AT
        self.commands = ControlCommands(self.blobs, self.ledger, self._now, "ana")

    def _now(self) -> dt.datetime:
        self.time += dt.timedelta(minutes=1)
        return self.time

    @property
    def stored(self) -> Switch:
        return msgspec.json.decode(self.blobs.objects[CONTROL].data, type=Switch)

    @property
    def rows(self) -> list[LedgerRow]:
        return self.ledger.rows(EPOCH)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_each_change_is_in_the_bucket_and_a_row_with_actor_and_budget(desk: Desk) -> None:
    for budget, reason in ((SMALL, "trial"), (LARGER, "more"), (None, "enough")):
        found = desk.commands.turn(budget, reason)
        assert (found.outcome, found.recorded) == ("SWITCHED", True)
        assert found.switch == desk.stored
        assert desk.stored.budget == budget
    assert [(row.action, row.actor) for row in desk.rows] == [
        ("CONTROL_ON", "ana"),
        ("CONTROL_ON", "ana"),
        ("CONTROL_OFF", "ana"),
    ]
    assert desk.rows[0].recorded_at == micros(AT + dt.timedelta(minutes=1))
    assert desk.rows[1].reason == (
        "more: share 10 %, of rejects 5 %, up to BRL 200.00 a Pix, 1,000.00 a day (0.00 for rejects alone), "
        "20,000.00 a month; a review costs BRL 4.00"
    )
    assert desk.rows[2].reason == "enough"


@pytest.mark.parametrize("budget", [None, SMALL])
def test_what_stands_so_already_is_not_changed(desk: Desk, budget: Budget | None) -> None:
    desk.commands.turn(LARGER, "first")
    desk.commands.turn(budget, "second")
    before, rows = desk.stored, desk.rows
    found = desk.commands.turn(budget, "third")
    assert (found.outcome, found.switch) == ("UNCHANGED", before)
    assert (desk.stored, desk.rows) == (before, rows)


def test_off_before_anything_was_on_changes_nothing(desk: Desk) -> None:
    assert desk.commands.turn(None, "to be sure").outcome == "UNCHANGED"
    assert desk.commands.show().switch is None
    assert not desk.blobs.objects
    assert not desk.rows


def test_a_row_that_the_ledger_lacks_is_written_by_the_next_command_once(desk: Desk) -> None:
    desk.ledger.away = True
    assert not desk.commands.turn(SMALL, "first").recorded
    desk.ledger.away = False
    assert desk.rows == []
    assert desk.commands.turn(None, "second").recorded
    assert [row.action for row in desk.rows] == ["CONTROL_ON", "CONTROL_OFF"]
    assert desk.commands.show().recorded
    assert len(desk.rows) == 2


def test_of_two_changes_at_once_the_second_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.commands.turn(SMALL, "first")
    read = desk.blobs.read

    def overtaken(name: str) -> Blob | None:
        found = read(name)
        monkeypatch.undo()
        desk.commands.turn(None, "the other")
        return found

    monkeypatch.setattr(desk.blobs, "read", overtaken)
    with pytest.raises(PreconditionFailed):
        desk.commands.turn(LARGER, "mine")
    assert desk.stored.reason == "the other"
    assert [row.action for row in desk.rows] == ["CONTROL_ON", "CONTROL_OFF"]


def test_a_switch_that_cannot_be_decoded_is_named_and_replaced(desk: Desk) -> None:
    desk.blobs.write(CONTROL, b'{"budget": 7}', 0)
    with pytest.raises(Misconfigured, match=CONTROL):
        desk.commands.show()
    assert desk.commands.turn(None, "repaired").outcome == "SWITCHED"
    assert desk.commands.show().switch == desk.stored


def test_without_the_bucket_nothing_changes(desk: Desk) -> None:
    desk.blobs.away = True
    with pytest.raises(Unavailable):
        desk.commands.turn(SMALL, "first")
    assert not desk.rows
