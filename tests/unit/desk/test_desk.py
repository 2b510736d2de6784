"""Cases are held by one person, judged once, and agreed on by a second person."""

from __future__ import annotations

import asyncio

import pytest

from shared.contract.feedback import ShownBecause
from shared.contract.fields import Verdict
from shared.contract.rows import ReviewRow
from shared.desk.errors import HeldByAnother, JudgedMeanwhile, NoSuchCase, NotAllowed
from shared.desk.open_case import Judgement
from shared.desk.records import CaseId
from shared.desk.roles import User
from shared.errors import RowRefused, Unavailable
from tests.unit.desk.world import ANA, BIA, RUI, SOL, World, held, run


def test_a_verdict_is_published_once_and_ends_the_case() -> None:
    world, case = World(), held().case
    world.rows.add(held())
    world.take(case)
    world.later(seconds=90)
    world.judge(case, note="call unanswered")
    (report,) = world.verdicts.published
    assert (report.end_to_end_id, report.verdict, report.analyst) == (case.end_to_end_id, Verdict.FRAUD, ANA.name)
    assert report.shown_because is ShownBecause.MODEL
    assert world.events() == [("TAKEN", None), ("JUDGED", "FRAUD")]
    row = world.table.rows[-1]
    assert isinstance(row, ReviewRow)
    assert (row.review_id, row.by_id, row.seconds_taken) == (report.report_id, ANA.id, 90)
    assert world.queue() == []


def test_the_same_form_sent_again_changes_nothing() -> None:
    world, case = World(), held().case
    world.rows.add(held())
    world.take(case)
    token = world.token(case)
    for _ in range(2):
        world.judge(case, token=token, seen="")
    assert len(world.verdicts.published) == 1
    assert world.events() == [("TAKEN", None), ("JUDGED", "FRAUD")]


def test_a_form_sent_again_while_another_person_has_the_case_changes_nothing() -> None:
    world, case = World(), held().case
    world.rows.add(held())
    token = world.token(case)
    world.judge(case, token=token, seen="")
    world.take(case, BIA)
    world.judge(case, token=token, seen="")
    with pytest.raises(HeldByAnother):
        world.judge(case)
    assert world.events() == [("JUDGED", "FRAUD"), ("TAKEN", None)]


def test_a_form_sent_again_after_a_failure_keeps_its_id() -> None:
    world, case = World(), held().case
    world.rows.add(held())
    token = world.token(case)
    world.table.away = True
    with pytest.raises(Unavailable):
        world.judge(case, token=token)
    world.table.away = False
    world.judge(case, token=token)
    assert len({report.report_id for report in world.verdicts.published}) == 1
    assert world.events() == [("JUDGED", "FRAUD")]


def test_a_verdict_whose_publication_fails_has_no_event() -> None:
    world = World()
    world.rows.add(held())
    world.verdicts.away = True
    with pytest.raises(Unavailable):
        world.judge(held().case)
    assert world.events() == []


def test_a_refused_event_is_an_error() -> None:
    world = World()
    world.rows.add(held())
    world.table.refuses = lambda _: True
    with pytest.raises(RowRefused):
        world.take(held().case)


def test_two_people_never_hold_one_case() -> None:
    world, case = World(), held().case
    world.rows.add(held())
    world.take(case)
    with pytest.raises(HeldByAnother):
        world.take(case, BIA)
    with pytest.raises(HeldByAnother):
        world.judge(case, BIA)
    assert world.events() == [("TAKEN", None)]


def test_a_lock_expires() -> None:
    world, case = World(lock_seconds=600), held().case
    world.rows.add(held())
    world.take(case)
    world.later(seconds=601)
    world.take(case, BIA)
    with pytest.raises(HeldByAnother):
        world.judge(case)


def test_a_page_that_is_older_than_a_verdict_cannot_replace_it() -> None:
    world, case = World(lock_seconds=600), held().case
    world.rows.add(held())
    world.take(case)
    world.later(seconds=601)
    world.judge(case, BIA)
    with pytest.raises(JudgedMeanwhile):
        world.judge(case, seen="")
    world.judge(case, verdict=Verdict.LEGITIMATE)
    assert [report.verdict for report in world.verdicts.published] == [Verdict.FRAUD, Verdict.LEGITIMATE]


def test_a_page_of_before_another_persons_lock_cannot_judge_after_their_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, case = World(lock_seconds=600), held().case
    world.rows.add(held())
    world.take(case)
    world.later(seconds=601)
    world.take(case, BIA)

    async def race() -> None:
        judged, take = asyncio.Event(), world.locks.take

        async def late(locked: CaseId, holder: str, seconds: float) -> str:
            if holder == ANA.id:
                await judged.wait()
            return await take(locked, holder, seconds)

        monkeypatch.setattr(world.locks, "take", late)
        slow = asyncio.create_task(world.desk.judge(case, ANA, judgement(world, ANA, Verdict.FRAUD)))
        await world.desk.judge(case, BIA, judgement(world, BIA, Verdict.LEGITIMATE))
        judged.set()
        with pytest.raises(JudgedMeanwhile):
            await slow

    run(race())
    assert [report.verdict for report in world.verdicts.published] == [Verdict.LEGITIMATE]
    world.take(case, BIA)  # the refused verdict keeps no lock


def judgement(world: World, user: User, verdict: Verdict) -> Judgement:
    """Return the form of a page that showed no verdict."""
    return Judgement(verdict, "MULE", "", world.token(held().case, user))


def test_a_returned_case_is_free() -> None:
    world, case = World(), held().case
    world.rows.add(held())
    world.take(case)
    run(world.desk.give_back(case, BIA, world.token(case, BIA)))
    with pytest.raises(HeldByAnother):
        world.take(case, BIA)
    run(world.desk.give_back(case, ANA, world.token(case)))
    world.take(case, BIA)
    assert [event for event, _ in world.events()] == ["TAKEN", "RETURNED", "TAKEN"]


def test_who_only_reads_takes_nothing() -> None:
    world = World()
    world.rows.add(held())
    with pytest.raises(NotAllowed):
        world.take(held().case, RUI)
    with pytest.raises(NotAllowed):
        world.judge(held().case, RUI)


def test_an_unknown_case_is_told() -> None:
    with pytest.raises(NoSuchCase):
        World().take(held().case)


def test_above_an_amount_a_second_person_has_to_agree() -> None:
    world, case = World(agreement_brl=50.0), held().case
    world.rows.add(held())
    world.judge(case)
    assert world.verdicts.published == []
    assert world.queue() == []
    assert world.queue(BIA) == [case]
    with pytest.raises(NotAllowed):
        world.answer(case, ANA)
    world.answer(case, BIA)
    (report,) = world.verdicts.published
    judged = world.table.rows[0]
    assert isinstance(judged, ReviewRow)
    assert (report.report_id, report.analyst, report.verdict) == (judged.review_id, BIA.name, Verdict.FRAUD)
    assert world.queue(BIA) == []


def test_a_disagreement_opens_the_case_again() -> None:
    world, case = World(agreement_brl=50.0), held().case
    world.rows.add(held())
    world.judge(case)
    for _ in range(2):
        world.answer(case, BIA, agrees=False)
    assert world.verdicts.published == []
    assert world.events() == [("JUDGED", "FRAUD"), ("DISAGREED", "FRAUD")]
    assert world.queue() == [case]


def test_nobody_agrees_with_a_verdict_that_was_corrected_meanwhile() -> None:
    world, case = World(agreement_brl=50.0), held().case
    world.rows.add(held())
    world.judge(case)
    seen = world.version(case, BIA)
    world.judge(case, verdict=Verdict.LEGITIMATE)
    with pytest.raises(JudgedMeanwhile):
        world.answer(case, BIA, seen=seen)
    assert world.verdicts.published == []


def test_a_drawn_case_is_judged_a_second_time_by_another_person_without_the_first_verdict() -> None:
    world, case = World(second_share=1.0), held().case
    world.rows.add(held())
    world.judge(case)
    assert world.queue() == []
    (entry,) = run(world.desk.queue(BIA))
    assert entry.why is ShownBecause.SECOND_REVIEW
    opened = run(world.desk.case(case, BIA))
    assert opened.is_blind
    world.judge(case, BIA, Verdict.LEGITIMATE)
    assert world.events() == [("JUDGED", "FRAUD"), ("JUDGED", "LEGITIMATE")]
    assert world.queue(BIA) == world.queue() == []


def test_a_blind_second_verdict_is_never_published() -> None:
    world, case = World(second_share=1.0, agreement_brl=50.0), held().case
    world.rows.add(held())
    world.judge(case)
    world.answer(case, BIA)
    world.judge(case, SOL, Verdict.LEGITIMATE)
    assert [report.verdict for report in world.verdicts.published] == [Verdict.FRAUD]
