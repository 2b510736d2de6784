"""The queue: its order, its filters, and the next case, also where it was read a moment ago."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence

import pytest

from shared.adapters.memory.desk import MemoryDeskRows
from shared.contract.feedback import ShownBecause
from shared.contract.fields import Verdict
from shared.desk.desk import Desk
from shared.desk.open_case import Judgement
from shared.desk.queue import Filters
from shared.desk.records import CaseId, HeldPix
from tests.unit.desk.world import ANA, BIA, NOW, SOL, World, held, run


def test_the_queue_is_ordered_by_expected_loss_then_by_deadline() -> None:
    world = World()
    soon = NOW + dt.timedelta(minutes=1)
    world.rows.add(held(1), held(2, score=0.9), held(3, hold_until=soon), held(4, score=None))
    assert [case.end_to_end_id[-1] for case in world.queue()] == ["4", "2", "3", "1"]


def test_a_pix_whose_hold_has_ended_or_that_has_an_outcome_is_not_in_the_queue() -> None:
    world = World()
    world.rows.add(held(1), held(2, hold_until=NOW + dt.timedelta(minutes=1)), held(3))
    world.rows.ended.add(held(3).case)
    world.later(minutes=2)
    assert world.queue() == [held(1).case]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ShownBecause.MODEL),
        ({"reasons": ("NIGHT_LIMIT", "NEW_PAYEE")}, ShownBecause.RULE),
        ({"reasons": ("MODEL:AMOUNT",)}, ShownBecause.MODEL),
        ({"policy_decision": "REJECT"}, ShownBecause.CONTROL),
    ],
)
def test_it_says_why_a_pix_is_shown(changes: dict[str, object], why: ShownBecause) -> None:
    world = World()
    world.rows.add(held(1, **changes))
    assert [entry.why for entry in run(world.desk.queue(ANA))] == [why]


def test_filters_choose_by_side_cause_and_reason() -> None:
    world = World()
    world.rows.add(held(1), held(2, side="PAYEE", decision="BLOCK"), held(3, reasons=("NIGHT_LIMIT",)))
    entries = run(world.desk.queue(ANA))

    def chosen(filters: Filters) -> list[str]:
        return [entry.pix.end_to_end_id[-1] for entry in entries if filters.admit(entry)]

    assert chosen(Filters(side="PAYEE")) == ["2"]
    assert chosen(Filters(why="RULE")) == ["3"]
    assert chosen(Filters(reason="NEW_PAYEE")) == ["1", "2"]


def test_take_next_takes_the_first_free_case_and_only_one() -> None:
    world = World()
    world.rows.add(held(1, score=0.9), held(2, score=0.8))

    def take_next(user: object) -> CaseId | None:
        assert user in (ANA, BIA)
        chosen = ANA if user is ANA else BIA
        return run(world.desk.take_next(chosen, world.key.token(chosen.name, "next")))

    assert [take_next(ANA), take_next(ANA), take_next(BIA)] == [held(1).case, held(1).case, held(2).case]
    world.judge(held(1).case)
    assert take_next(ANA) is None


def test_the_queue_of_all_users_is_read_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    world, waiting, reads = World(refresh_seconds=5.0), MemoryDeskRows.waiting, []

    async def counted(rows: MemoryDeskRows, now: dt.datetime) -> Sequence[HeldPix]:
        reads.append(now)
        return await waiting(rows, now)

    monkeypatch.setattr(MemoryDeskRows, "waiting", counted)

    async def look() -> None:
        await asyncio.gather(*(world.desk.queue(user) for user in (ANA, BIA, SOL)))

    run(look())
    world.later(seconds=4)
    run(look())
    assert len(reads) == 1
    world.later(seconds=1)
    run(look())
    assert len(reads) == 2


def test_a_stale_queue_gives_nobody_a_case_that_was_judged_or_has_ended_meanwhile() -> None:
    world = World(refresh_seconds=60.0)
    world.rows.add(held(1, score=0.9, hold_until=NOW + dt.timedelta(seconds=20)), held(2, score=0.8), held(3))
    assert len(world.queue()) == 3
    other = Desk(*world.parts, lambda: world.now)  # of another instance
    run(other.judge(held(2).case, BIA, Judgement(Verdict.FRAUD, "MULE", "", world.token(held(2).case, BIA))))
    world.later(seconds=30)
    assert len(world.queue()) == 3
    assert run(world.desk.take_next(ANA, world.key.token(ANA.name, "next"))) == held(3).case
    assert list(run(world.locks.holders([held(n).case for n in (1, 2, 3)]))) == [held(3).case]


def test_a_second_verdict_is_asked_for_some_days() -> None:
    world = World(second_share=1.0, second_days=7.0)
    world.rows.add(held())
    world.judge(held().case)
    world.later(days=6)
    assert world.queue(BIA) == [held().case]
    world.later(days=2)
    assert world.queue(BIA) == []
