"""The pages: what they show, to whom, and the forms that they take."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from shared.adapters.memory.desk import MemoryDeskRows, MemorySurroundings
from shared.contract.fields import Verdict
from shared.desk.records import Payment, PixFacts, Report
from shared.desk.web.texts import LANGUAGES, texts
from shared.trace.flow import follow
from shared.trace.graph import Pix, TraceLimits, grow
from tests.unit.desk.browser import Browser
from tests.unit.desk.world import World, held

SCRIPT = "<script>alert(1)</script>"
NOW = dt.datetime.now(dt.UTC)
PIX = held(initiated_at=NOW, scored_at=NOW, hold_until=NOW + dt.timedelta(hours=5))
PATH = f"/cases/{PIX.end_to_end_id}/PAYER"
FACTS = PixFacts(
    *("DICT", "IPAY", "12345678", "87654321", None, None, "PHONE", None, "d" * 32, False, "3" * 32, None),
    {"new_pair": 1.0, "pair_since_first": 0.5},
)


@pytest.fixture
def world() -> World:
    world = World()
    world.now = NOW
    world.rows.add(PIX)
    world.rows.known_facts[PIX.case] = FACTS
    before = NOW - dt.timedelta(days=3)
    world.surroundings.payments = [
        Payment("E2", before, 5_000, "APPROVE", PIX.payer_id, "9" * 32, "d" * 32),
        Payment("E3", before, 7_000, "APPROVE", "8" * 32, PIX.payee_id),
    ]
    world.surroundings.known_reports = [
        Report("MED", before, "E3", "CLOSED", "FRAUD", "SCAM", "MULE_ACCOUNT", of_payee=True)
    ]
    return world


def taken(world: World, name: str = "ana") -> Browser:
    """Return the browser of a user who has taken the case."""
    browser = Browser(world, name)
    browser.get(PATH)
    browser.post(f"{PATH}/take")
    return browser


def test_both_languages_have_the_same_words() -> None:
    portuguese, english = (texts(language) for language in LANGUAGES)
    assert portuguese.keys() == english.keys()
    assert all(isinstance(each, str) for words in (portuguese, english) for each in words.values())


def test_the_queue_lists_a_held_pix_in_portuguese(world: World) -> None:
    browser = Browser(world)
    browser.get("/")
    for words in ("Fila", "R$ 100,00", "R$ 50,00", "retido antes da liquidação", "modelo", PIX.end_to_end_id[-11:]):
        assert words in browser.text
    assert "O pagador não costuma pagar a este recebedor" in browser.text


def test_a_user_chooses_english(world: World) -> None:
    browser = Browser(world)
    browser.post("/language", lang="en", to="/")
    assert "Queue" in browser.text
    assert "R$ 100.00" in browser.text


def test_a_filter_hides_the_other_cases(world: World) -> None:
    browser = Browser(world)
    browser.get("/?side=PAYEE")
    assert PIX.end_to_end_id[-11:] not in browser.text
    assert "Nenhum caso" in browser.text


def test_a_case_is_taken_and_judged(world: World) -> None:
    browser = Browser(world)
    browser.get("/")
    browser.post("/next")
    assert browser.url == PATH
    browser.post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="sem resposta")
    assert browser.url == PATH
    assert "Fraude" in browser.text
    assert [report.verdict for report in world.verdicts.published] == [Verdict.FRAUD]
    assert "Nenhum caso" in Browser(world).get("/")


def test_a_case_shows_reasons_habits_weeks_reports_and_devices(world: World) -> None:
    browser = Browser(world)
    browser.get(PATH)
    for words in ("Primeiro Pix deste pagador a este recebedor sim", "1 Pix em 90 dias; mediana R$ 50,00"):
        assert words in browser.text
    for words in (
        "1 Pix recebido em 28 dias",
        "MED",
        "encerrado",
        "conta de passagem (laranja)",
        "dddddddd este Pix",
    ):
        assert words in browser.text


def test_the_way_of_money_has_a_page_that_asks_for_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, onward = Pix("E3", "8" * 32, PIX.payee_id, 7_000, 0, 0), Pix("E4", PIX.payee_id, "7" * 32, 6_000, 0, 1)
    limits = TraceLimits(amount_min=1)
    graph = grow(first, lambda spans: [onward] if PIX.payee_id in spans else [], limits)
    world.surroundings.traces = {"E3": follow(graph, limits)}
    browser = Browser(world)
    browser.get(PATH)
    assert "Mostrar o caminho do dinheiro" in browser.text
    monkeypatch.delattr(MemorySurroundings, "sent")
    monkeypatch.delattr(MemoryDeskRows, "facts")
    browser.get(f"{PATH}/money")
    assert "R$ 60,00 22222222 → 77777777" in browser.text


def test_two_people_do_not_take_one_case(world: World) -> None:
    taken(world)
    other = Browser(world, "bia")
    other.get(PATH)
    assert "Outra pessoa está com este caso" in other.text
    page = Browser(world, "sol")
    page.html = f'<input type="hidden" name="token" value="{world.key.token("sol@bank.example", PIX.case.text)}">'
    page.post(f"{PATH}/take")
    assert page.status == 409


def test_the_second_click_on_a_verdict_shows_the_first_ones_result(world: World) -> None:
    browser = taken(world)
    form = browser.html
    for _ in range(2):
        browser.html = form
        browser.post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="")
        assert (browser.status, browser.url) == (200, PATH)
    assert len(world.verdicts.published) == 1


def test_a_wrong_form_is_shown_again_with_its_words(world: World) -> None:
    browser = taken(world)
    browser.post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="falei com João da Silva")
    assert browser.status == 422
    assert "A nota parece citar uma pessoa" in browser.text
    assert "João da Silva" in browser.text
    browser.post(f"{PATH}/verdict", reason="MULE", note="")
    assert (browser.status, world.verdicts.published) == (422, [])


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}, {}]
)
def test_a_form_of_another_site_is_refused(world: World, headers: dict[str, str]) -> None:
    browser = taken(world)
    browser.post(f"{PATH}/verdict", headers, verdict="FRAUD", reason="MULE", note="")
    assert (browser.status, world.verdicts.published) == (403, [])


def test_a_token_of_another_user_or_case_is_refused(world: World) -> None:
    for token in (
        world.key.token("bia@bank.example", PIX.case.text),
        world.key.token("ana@bank.example", "E9+PAYER"),
    ):
        browser = Browser(world)
        browser.post(f"{PATH}/take", token=token)
        assert browser.status == 403


def test_a_form_that_is_too_large_is_refused(world: World) -> None:
    browser = taken(world)
    browser.post(f"{PATH}/verdict", note="x" * 20_000)
    assert browser.status == 403


def test_who_has_no_role_sees_nothing(world: World) -> None:
    browser = Browser(world, "eva")
    for path in ("/", PATH, "/quality", "/health", "/models"):
        browser.get(path)
        assert browser.status == 403
        assert PIX.end_to_end_id[-11:] not in browser.html


def test_risk_reads_and_does_not_judge(world: World) -> None:
    browser = Browser(world, "rui")
    browser.get(PATH)
    assert "/take" not in browser.html
    browser.post(f"{PATH}/take")
    assert browser.status == 403


def test_an_unknown_case_is_not_found(world: World) -> None:
    browser = Browser(world)
    browser.get("/cases/E1/PAYER")
    assert browser.status == 404


def test_a_store_that_is_away_is_told_without_details(world: World) -> None:
    world.rows.away = True
    browser = Browser(world)
    browser.get("/")
    assert browser.status == 503
    assert "tente de novo" in browser.text


def test_a_fault_of_ours_is_answered_without_its_text(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_user: object) -> None:
        raise ValueError("12345678909")

    monkeypatch.setattr(world.desk, "queue", fail)
    browser = Browser(world)
    browser.get("/")
    assert browser.status == 500
    assert "12345678909" not in browser.html
    assert browser.headers["content-security-policy"]


def test_a_script_in_any_field_shows_as_text(world: World) -> None:
    odd = held(
        2, reasons=(SCRIPT,), model_version=SCRIPT, payer_id=SCRIPT, payee_id=SCRIPT, hold_until=PIX.hold_until
    )
    world.rows.add(odd)
    world.surroundings.known_reports = [Report(SCRIPT, NOW, SCRIPT, SCRIPT, SCRIPT, SCRIPT, SCRIPT)]
    browser = Browser(world)
    for path in ("/", f"/cases/{odd.end_to_end_id}/PAYER"):
        browser.get(path)
        assert browser.status == 200
        assert SCRIPT not in browser.html
        assert SCRIPT in browser.text or "alert(1)" in browser.text


@pytest.mark.parametrize("path", ["/", PATH, "/quality", "/health", "/models"])
def test_pages_allow_no_script_or_style_but_their_own(world: World, path: str) -> None:
    browser = Browser(world)
    html = browser.get(path)
    policy = browser.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r" style=| on\w+=|<style|javascript:", html)
    assert re.findall(r"<script[^>]*>", html) == ['<script src="/static/desk.js" defer>']
    assert browser.headers["cache-control"] == "no-store"


def test_nobody_becomes_another_user_where_users_prove_who_they_are() -> None:
    world = World(user="", audience="/projects/1/x")
    browser = Browser(world)
    browser.post("/user", user="bia@bank.example", to="/")
    assert browser.status == 403


def test_a_redirection_stays_on_the_site(world: World) -> None:
    browser = Browser(world)
    browser.post("/language", lang="en", to="//evil.example")
    assert (browser.status, browser.url, "Queue" in browser.text) == (200, "/", True)
