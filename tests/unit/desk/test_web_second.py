"""The pages of second persons: what they show of the first verdict, on any page, and what they hide."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from shared.contract.fields import Verdict
from shared.contract.rows import ReviewRow
from shared.desk.records import CaseStep, Report
from shared.trace.flow import follow
from shared.trace.graph import Pix, TraceLimits, grow
from tests.unit.desk.browser import Browser, user
from tests.unit.desk.test_web import FACTS, NOW, PATH, PIX, taken
from tests.unit.desk.world import World, held, run


def test_the_second_person_sees_the_verdict_and_agrees() -> None:
    world = World(agreement_brl=50.0)
    world.now = NOW
    world.rows.add(PIX)
    taken(world).post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="conta nova")
    other = taken(world, "bia")
    assert "conta nova" in other.text
    assert "Você concorda" in other.text
    other.post(f"{PATH}/answer", answer="AGREED")
    assert other.url == PATH
    assert [report.analyst for report in world.verdicts.published] == ["bia@bank.example"]


def test_a_blind_second_review_hides_the_first_verdict() -> None:
    world = World(second_share=1.0)
    world.now = NOW
    world.rows.add(PIX)
    world.rows.known_facts[PIX.case] = FACTS
    taken(world).post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="conta nova")
    world.surroundings.known_reports = [Report("ANALYST", NOW, PIX.end_to_end_id, None, "FRAUD")]
    other = taken(world, "bia")
    for words in ("conta nova", "ANALYST", user("ana").id[:8], "Julgado", "julgou"):
        assert words not in other.text
    other.post(f"{PATH}/verdict", verdict="LEGITIMATE", reason="HABIT", note="")
    other.get("/quality")
    assert "Casos julgados duas vezes 1" in other.text
    assert PIX.end_to_end_id[-11:] not in other.html
    assert PIX.end_to_end_id[-11:] in Browser(world, "sol").get("/quality")
    assert [report.verdict for report in world.verdicts.published] == [Verdict.FRAUD]


def test_only_a_supervisor_sees_the_figures_of_other_analysts() -> None:
    world = World()
    world.now = NOW
    world.rows.add(PIX)
    run(world.desk.take(PIX.case, user("ana"), world.key.token("ana@bank.example", PIX.case.text)))
    taken(world).post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="")
    shown = {name: user("ana").id[:8] in Browser(world, name).get("/quality") for name in ("ana", "bia", "sol")}
    assert shown == {"ana": True, "bia": False, "sol": True}


@pytest.mark.parametrize(("name", "sees"), [("ana", True), ("bia", False)])
def test_the_verdict_of_a_case_to_review_blind_is_on_no_page_of_its_neighbours(name: str, sees: bool) -> None:
    world = World(second_share=1.0)
    world.now = NOW
    other = held(2, initiated_at=NOW, scored_at=NOW, hold_until=PIX.hold_until, decision="BLOCK")
    world.rows.add(PIX, other)
    world.rows.known_facts[other.case] = FACTS
    taken(world).post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="")
    world.surroundings.verdicts = [CaseStep.of(row) for row in world.table.rows if isinstance(row, ReviewRow)]
    world.surroundings.known_reports = [Report("ANALYST", NOW, PIX.end_to_end_id, None, "FRAUD")]
    ids = [(other.end_to_end_id, "7" * 32), (PIX.end_to_end_id, "6" * 32)]
    first, onward = (Pix(id_, "8" * 32, payee, 7_000, 0, at) for at, (id_, payee) in enumerate(ids))
    onward = replace(onward, payer_id=first.payee_id, verdict="FRAUD")
    limits = TraceLimits(amount_min=1)
    graph = grow(first, lambda spans: [onward] if first.payee_id in spans else [], limits)
    world.surroundings.traces = {other.end_to_end_id: follow(graph, limits)}
    browser, page = Browser(world, name), f"/cases/{other.end_to_end_id}/PAYER"
    browser.get(page)
    told = (
        "<td>analista</td>" in browser.html,
        PIX.end_to_end_id[-11:] in browser.html,
        'class="FRAUD"' in browser.html,
    )
    browser.get(f"{page}/money")
    assert "77777777 → 66666666" in browser.text
    assert (*told, "box FRAUD" in browser.html) == (sees,) * 4
