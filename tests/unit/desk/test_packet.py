"""The document about a decision: what norms ask is in it, and what nobody may read is not."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from shared import yaml_file
from shared.contract.fields import Verdict
from shared.contract.outcome import OutcomeStatus
from shared.desk.errors import NoContact, NoSuchCase
from shared.desk.packet.decision import DecisionPacket, ReviewState, find
from shared.desk.packet.parties import is_of_other
from shared.desk.packet.render import decision_html, policy
from shared.desk.packet.words import packet_words
from shared.desk.records import KnownOutcome, Report
from shared.features import catalogue
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.scoring.reason_words import reason_words
from shared.scoring.rules import Rules
from tests.unit.desk.browser import Browser, user
from tests.unit.desk.documents import outside_resources, section, words
from tests.unit.desk.test_web import FACTS, SCRIPT
from tests.unit.desk.world import ANA, BIA, NOW, World, held, run

ASKED = yaml_file.read(Path(__file__).with_name("norms.yaml"))
CONTACT = "encarregado@banco.example"
PIX = held(reasons=("NIGHT_LIMIT", "NEW_PAYEE", "PAYEE_ACCOUNT"), model_version="v-7")
PATH = f"/cases/{PIX.end_to_end_id}/PAYER"


@pytest.fixture
def world() -> World:
    world = World(review_contact=CONTACT)
    world.rows.add(PIX)
    world.rows.known_facts[PIX.case] = FACTS
    return world


def packet(world: World, side: str | None = None, contact: str = CONTACT, id_: str = PIX.end_to_end_id) -> Any:
    return run(find(world.rows, world.surroundings, id_, side, contact, world.now))


def judged(world: World, **settings: Any) -> DecisionPacket:
    """Return the packet after Ana's verdict."""
    world.take(PIX.case)
    world.judge(PIX.case, ANA, Verdict.LEGITIMATE, note="sem sinais", **settings)
    found: DecisionPacket = packet(world)
    return found


@pytest.mark.parametrize("item", ASKED["decision"], ids=lambda item: f"{item['norm']}: {item['asks']}")
def test_the_document_has_what_a_norm_asks(world: World, item: dict[str, Any]) -> None:
    found = section(decision_html(packet(world)), item["section"])
    assert [each for each in item["shows"] if each not in found] == []


def test_the_document_runs_and_loads_nothing(world: World) -> None:
    html = decision_html(packet(world))
    assert outside_resources(html) == []
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy()
    assert f'content="{policy()}"' in html
    assert "@media print" in style


def test_the_check_finds_what_a_document_may_not_have() -> None:
    html = '<p onclick="x"><script src="https://a.example"></script><i style="background:url(b)">'
    assert outside_resources(html) == ["onclick", "script", "src", "style", "https:", "url("]


def test_a_reader_sees_the_own_pseudonym_and_nothing_of_the_other_party_or_of_analysts(world: World) -> None:
    html = decision_html(judged(world))
    assert PIX.payer_id in html
    for hidden in (PIX.payee_id, FACTS.device_id, FACTS.payer_person_id, ANA.name, ANA.id, "sem sinais"):
        assert hidden not in html


def test_figures_of_the_other_party_are_withheld_and_said_to_be(world: World) -> None:
    found = packet(world)
    shown = {each.reason.code: (len(each.reason.evidence), each.withholds) for each in found.reasons}
    assert shown["NEW_PAYEE"] == (3, False)
    assert shown["PAYEE_ACCOUNT"] == (0, True)
    assert "só da outra parte" in section(decision_html(found), "reasons")


def test_a_script_in_any_field_shows_as_text(world: World) -> None:
    odd = held(2, reasons=(SCRIPT,), model_version=SCRIPT, payer_id=SCRIPT, hold_until=None)
    world.rows.add(odd)
    html = decision_html(packet(world, contact=SCRIPT, id_=odd.end_to_end_id))
    assert SCRIPT not in html
    assert words(html).count("alert(1)") == 4


def test_a_pix_without_model_or_reasons_says_so(world: World) -> None:
    bare = held(2, reasons=("NO_MODEL",), score=None, degraded=True)
    world.rows.add(bare)
    html = decision_html(packet(world, id_=bare.end_to_end_id))
    assert "nenhuma: decidiram só as regras" in section(html, "decision")
    for text in ("Nenhuma regra se aplicou", "O modelo não deu motivos", "Decidido só pelas regras"):
        assert text in section(html, "reasons")


def test_the_control_group_is_told(world: World) -> None:
    mild = held(2, decision="APPROVE", policy_decision="HOLD", reasons=("CONTROL_GROUP",), hold_until=None)
    world.rows.add(mild)
    found = section(decision_html(packet(world, id_=mild.end_to_end_id)), "decision")
    assert "Regras e modelo tinham decidido: retido antes da liquidação" in found


def test_without_a_side_the_payers_decision_comes_first(world: World) -> None:
    blocked = held(side="PAYEE", decision="BLOCK")
    world.rows.add(blocked)
    assert packet(world).pix == PIX
    assert packet(world, "PAYEE").own_account == blocked.payee_id
    only = held(3, side="PAYEE", decision="BLOCK")
    world.rows.add(only)
    assert packet(world, id_=only.end_to_end_id).pix == only


def test_an_unknown_pix_or_a_missing_contact_is_refused(world: World) -> None:
    with pytest.raises(NoSuchCase):
        packet(world, "PAYEE")
    with pytest.raises(NoContact, match="PIX_DESK_REVIEW_CONTACT"):
        packet(world, contact=" ")


def test_a_verdict_is_told_with_its_time(world: World) -> None:
    found = judged(world)
    assert (found.reviewed.review, found.reviewed.verdict) == (ReviewState.CONCLUDED, "LEGITIMATE")
    assert "20/11/2026 12:00 com a conclusão: Legítimo" in section(decision_html(found), "review")


@pytest.mark.parametrize(
    ("agrees", "review", "text"),
    [
        (None, ReviewState.AWAITING, "segunda pessoa ainda precisa concordar"),
        (True, ReviewState.CONCLUDED, "com a conclusão: Legítimo"),
        (False, ReviewState.DISPUTED, "Uma segunda pessoa discordou"),
    ],
)
def test_a_second_person_counts(agrees: bool | None, review: ReviewState, text: str) -> None:
    world = World(agreement_brl=50.0)
    world.rows.add(PIX)
    found = judged(world)
    if agrees is not None:
        world.take(PIX.case, BIA)
        world.answer(PIX.case, BIA, agrees)
        found = packet(world)
    assert found.reviewed.review is review
    assert text in section(decision_html(found), "review")


def test_a_verdict_of_another_tool_counts_and_other_reports_do_not(world: World) -> None:
    def report(source: str, verdict: str, id_: str = PIX.end_to_end_id, minutes: int = 1) -> Report:
        return Report(source, world.now + dt.timedelta(minutes=minutes), id_, None, verdict)

    world.surroundings.known_reports = [report("MED", "FRAUD"), report("ANALYST", "FRAUD", "E9")]
    assert packet(world).reviewed.review is ReviewState.NONE
    world.surroundings.known_reports += [report("ANALYST", "FRAUD"), report("ANALYST", "LEGITIMATE", minutes=2)]
    assert packet(world).reviewed.verdict == "LEGITIMATE"


def test_the_course_of_the_pix_after_the_decision_is_told(world: World) -> None:
    assert "Nada foi informado" in section(decision_html(packet(world)), "outcome")
    settled, returned = KnownOutcome(NOW, "SETTLED"), KnownOutcome(NOW + dt.timedelta(days=1), "RETURNED")
    world.rows.known_outcomes[PIX.end_to_end_id] = [returned, settled, settled]
    told = section(decision_html(packet(world)), "outcome")
    assert told.endswith("20/11/2026 12:00: o Pix foi liquidado. 21/11/2026 12:00: valor devolvido.")


def test_every_outcome_has_words() -> None:
    assert packet_words().outcomes.keys() == set(OutcomeStatus)


def test_no_feature_is_about_a_fact_that_is_said_to_be_unused() -> None:
    known = {word for each in FEATURES for word in re.findall(r"[a-z]+", f"{each.name} {each.meaning}".lower())}
    assert {word for each in packet_words().unused for word in each.words} & known == set()
    assert all(each.words for each in packet_words().unused)


def test_criteria_cover_the_catalogue_in_its_order() -> None:
    parts = [getattr(catalogue, name) for name in packet_words().criteria]
    names = [name for part in parts for entry in part for name in FEATURE_NAMES[catalogue.SLICES[entry[0]]]]
    assert tuple(names) == FEATURE_NAMES


def test_each_rule_has_its_norm_in_portuguese_with_the_same_numbers() -> None:
    def cited(norm: str) -> set[str]:
        return set(re.findall(r"\d+/\d{4}", norm))

    norms = packet_words().norms
    assert norms.keys() == {rule.code for rule in Rules.load().rules}
    assert [rule.code for rule in Rules.load().rules if cited(rule.norm) != cited(norms[rule.code])] == []
    assert norms.keys() <= reason_words().codes.keys()


def test_a_figure_is_withheld_from_one_party_at_most() -> None:
    withheld = {side: {name for name in FEATURE_NAMES if is_of_other(name, side)} for side in ("PAYER", "PAYEE")}
    assert withheld["PAYER"] & withheld["PAYEE"] == set()
    assert {"owner_markers", "key_age", "payee_company", "dict_markers_d90"} <= withheld["PAYER"]
    assert {"device_payers_30d", "new_device", "night_limit_left", "payee_registered"} <= withheld["PAYEE"]


@pytest.mark.parametrize("name", ["ana", "sol", "rui"])
def test_each_role_opens_the_document_from_the_case(world: World, name: str) -> None:
    browser = Browser(world, name)
    browser.get(PATH)
    assert f'action="{PATH}/packet"' in browser.html
    browser.get(f"{PATH}/packet")
    assert browser.status == 200
    assert "Explicação de uma decisão automatizada" in browser.text
    assert browser.headers["content-security-policy"] == f"{policy()}; frame-ancestors 'none'"
    assert (browser.headers["cache-control"], browser.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_who_has_no_role_gets_no_document(world: World) -> None:
    browser = Browser(world, "eva")
    browser.get(f"{PATH}/packet")
    assert browser.status == 403
    assert PIX.payer_id not in browser.html


def test_an_unknown_case_or_a_missing_contact_is_told(world: World) -> None:
    browser = Browser(world)
    browser.get("/cases/E1/PAYER/packet")
    assert browser.status == 404
    without = World()
    without.rows.add(PIX)
    browser = Browser(without)
    browser.get(f"{PATH}/packet")
    assert browser.status == 404
    assert "PIX_DESK_REVIEW_CONTACT" in browser.text


def test_a_blind_second_review_gets_no_document() -> None:
    world = World(second_share=1.0, review_contact=CONTACT)
    world.rows.add(PIX)
    world.take(PIX.case, user("ana"))
    world.judge(PIX.case, user("ana"))
    browser = Browser(world, "bia")
    browser.get(PATH)
    assert "/packet" not in browser.html
    browser.get(f"{PATH}/packet")
    assert browser.status == 403
