"""The pages under hands that do odd things: unknown addresses, long queues, filters without a case, odd headers."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from shared.contract.feedback import CustomerStatus, FraudType, MarkerStatus, MedStatus, RecoveryStatus, SituationType
from shared.contract.fields import InitiationForm, KeyType, Purpose
from shared.desk.records import Report
from shared.desk.web.pages import SHOWN_MAX
from shared.desk.web.texts import LANGUAGES, texts
from tests.unit.desk.browser import Browser
from tests.unit.desk.test_web import FACTS, NOW, PATH, PIX
from tests.unit.desk.world import World, held

LATE = NOW + dt.timedelta(hours=5)
CODES = {
    "report.status": (MedStatus, CustomerStatus, MarkerStatus, RecoveryStatus),
    "report.kind": (FraudType, SituationType),
    "form": (InitiationForm,),
    "purpose": (Purpose,),
    "key": (KeyType,),
}
"""Enumerations of the contract that pages show, by the start of the keys of their words."""


def queued(count: int) -> World:
    """Return a desk with some cases whose losses differ, the largest first."""
    world = World()
    world.now = NOW
    amounts = {number: 100 * (count - number + 1) for number in range(1, count + 1)}
    pix = [held(n, initiated_at=NOW, scored_at=NOW, hold_until=LATE, amount=each) for n, each in amounts.items()]
    world.rows.add(*pix)
    return world


def listed(browser: Browser) -> list[int]:
    """Return the numbers of the cases on a page of the queue, in their order."""
    return [int(number) for number in re.findall(r"<code>(\d{11})</code>", browser.html)]


@pytest.fixture
def world() -> World:
    world = queued(1)
    world.rows.known_facts[PIX.case] = FACTS
    return world


def test_who_changes_to_another_person_is_that_person(world: World) -> None:
    browser = Browser(world)
    browser.get("/")
    browser.post("/user", user="bia@bank.example", to="/quality")
    assert (browser.status, browser.url) == (200, "/quality")
    assert "bia@bank.example (analista)" in browser.text


@pytest.mark.parametrize(
    "path", ["/nothing", "/cases/E1", f"{PATH}/none", "/static/none.css", "/cases/" + "E" * 5_000]
)
def test_an_address_without_a_page_is_told_in_words(world: World, path: str) -> None:
    browser = Browser(world)
    browser.get(path)
    assert browser.status == 404
    assert texts("pt")["error.NoPage"] in browser.text
    assert browser.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/next", f"{PATH}/verdict", f"{PATH}/take", "/user"])
def test_a_form_that_is_opened_as_a_page_leads_back_to_the_queue(world: World, path: str) -> None:
    browser = Browser(world)
    browser.post("/language", lang="en", to="/")
    browser.get(path)
    assert (browser.status, browser.headers["allow"]) == (405, "POST")
    assert texts("en")["error.NoPage"] in browser.text
    assert 'href="/"' in browser.html


@pytest.mark.parametrize("side", ["payer", "PAYER'", "<script>", "%00", "PAYER%0d%0aX: y"])
def test_a_side_that_does_not_exist_has_no_case(world: World, side: str) -> None:
    browser = Browser(world)
    browser.get(f"/cases/{PIX.end_to_end_id}/{side}")
    assert browser.status == 404
    assert "<script>" not in browser.html.replace('<script src="/static/desk.js" defer>', "")


def test_where_no_case_is_free_the_filters_stay_and_the_user_is_told(world: World) -> None:
    browser = Browser(world)
    browser.get("/?side=PAYEE")
    browser.post("/next", side="PAYEE", why="", reason="<b>")
    assert browser.url == "/"
    assert texts("pt")["queue.none_free"] in browser.text
    assert '<option value="PAYEE" selected>' in browser.html
    assert listed(browser) == []
    assert "<b>" not in browser.html


def test_a_user_is_told_that_others_hold_all_cases(world: World) -> None:
    other = Browser(world, "bia")
    other.get("/")
    other.post("/next")
    browser = Browser(world)
    browser.get("/")
    browser.post("/next")
    assert texts("pt")["queue.none_free"] in browser.text
    assert listed(browser) == [1]
    assert texts("pt")["status.other"] in browser.text


def test_a_long_queue_is_read_sheet_by_sheet() -> None:
    browser = Browser(queued(2 * SHOWN_MAX + 1))
    browser.get("/")
    assert listed(browser) == [*range(1, SHOWN_MAX + 1)]
    assert "401 casos na fila; nesta folha, de 1 a 200" in browser.text
    seen = listed(browser)
    while (following := re.search(r'rel="next" href="([^"]+)"', browser.html)) is not None:
        browser.get("/" + following[1].replace("&amp;", "&"))
        seen += listed(browser)
    assert seen == [*range(1, 2 * SHOWN_MAX + 2)]
    assert "nesta folha, de 401 a 401" in browser.text


@pytest.mark.parametrize(
    ("asked", "first"), [("9999", 401), ("0", 1), ("-1", 1), ("x", 1), ("²", 1), ("9" * 5_000, 1)]
)
def test_a_sheet_that_does_not_exist_is_the_last_or_the_first(asked: str, first: int) -> None:
    browser = Browser(queued(2 * SHOWN_MAX + 1))
    browser.get(f"/?sheet={asked}")
    assert browser.status == 200
    assert listed(browser)[0] == first


def test_the_links_between_sheets_keep_the_filters() -> None:
    browser = Browser(queued(SHOWN_MAX + 1))
    browser.get("/?side=PAYER&why=MODEL")
    browser.get("/" + re.search(r'rel="next" href="([^"]+)"', browser.html)[1].replace("&amp;", "&"))
    assert '<option value="PAYER" selected>' in browser.html
    assert '<option value="MODEL" selected>' in browser.html
    assert listed(browser) == [SHOWN_MAX + 1]


def test_one_case_is_counted_in_the_singular(world: World) -> None:
    browser = Browser(world)
    assert "1 caso na fila" in " ".join((browser.get("/"), browser.text))
    browser.post("/language", lang="en", to="/")
    assert "1 case in the queue" in browser.text
    assert "0 cases in the queue" in " ".join((browser.get("/?side=PAYEE"), browser.text))


def test_every_code_of_the_contract_that_a_page_shows_has_words() -> None:
    for language in LANGUAGES:
        words = texts(language)
        missing = [
            f"{kind}.{code}"
            for kind, enums in CODES.items()
            for enum in enums
            for code in enum
            if f"{kind}.{code}" not in words
        ]
        assert missing == [], language


def test_a_case_names_no_code_of_a_message(world: World) -> None:
    world.surroundings.known_reports = [
        Report("FUNDS_RECOVERY", NOW, "E3", "AWAITING_ANALYSIS", None, "ACCOUNT_TAKEOVER", None, of_payer=True),
        Report("FRAUD_MARKER", NOW, None, "REGISTERED", None, None, "SCAMMER_ACCOUNT", of_payee=True),
    ]
    browser = Browser(world)
    browser.get(PATH)
    assert set(re.findall(r"[A-Z]{4,}(?:_[A-Z]+)*", browser.text)) == {"LGPD"}
    for words in (
        "recuperação de valores",
        "à espera de análise",
        "conta tomada",
        "por chave, pagamento",
        "telefone",
    ):
        assert words in browser.text


def test_a_code_of_tomorrow_is_shown_as_it_is(world: World) -> None:
    world.surroundings.known_reports = [Report("NEW_SOURCE", NOW, "E3", "NEW_STATUS", "NEW_VERDICT", "NEW_KIND")]
    browser = Browser(world)
    browser.get(PATH)
    assert browser.status == 200
    for code in ("NEW_SOURCE", "NEW_STATUS", "NEW_KIND"):
        assert code in browser.text


def test_days_of_an_axis_are_written_as_the_language_does(world: World) -> None:
    local = NOW.astimezone(dt.timezone(dt.timedelta(hours=-3)))
    shown = local.date() - dt.timedelta(days=27)
    browser = Browser(world)
    browser.get(PATH)
    assert f">{shown:%d/%m}</text>" in browser.html
    browser.post("/language", lang="en", to=PATH)
    assert f">{shown:%d %b}</text>" in browser.html
    assert not re.search(r">\d\d/\d\d</text>", browser.html)


def test_times_are_those_of_brasilia_and_said_to_be() -> None:
    world, at = World(), dt.datetime(2026, 11, 21, 1, 30, tzinfo=dt.UTC)
    world.rows.add(held(initiated_at=at, scored_at=at))
    browser = Browser(world)
    browser.get(f"/cases/{held().end_to_end_id}/PAYER")
    assert "20/11/2026 22:30" in browser.text
    assert "Os horários são os de Brasília." in browser.text
    browser.post("/language", lang="en", to=browser.url)
    assert "20 Nov 2026 22:30" in browser.text
    assert "Times are those of Brasília." in browser.text


@pytest.mark.parametrize("language", ["", "en", "xx;q=9", "*", "pt-BR,en;q=0.8", "en" * 5_000])
def test_what_a_browser_says_of_languages_breaks_nothing(world: World, language: str) -> None:
    browser = Browser(world)
    browser.get("/")
    browser.post("/language", {"sec-fetch-site": "same-origin", "accept-language": language}, lang="pt")
    assert browser.status == 200
    assert "Fila" in browser.text


def test_a_refused_form_leads_back_to_its_case(world: World) -> None:
    browser, other = Browser(world), Browser(world, "bia")
    browser.get(PATH)
    other.html = browser.html
    other.post(f"{PATH}/take")
    assert other.status == 403
    assert f'href="{PATH}"' in other.html


@pytest.mark.parametrize("judges", [False, True], ids=["locked", "judged"])
def test_a_note_whose_verdict_came_too_late_is_shown_again(judges: bool) -> None:
    world = queued(1)
    ana, bia = Browser(world), Browser(world, "bia")
    ana.get(PATH)
    ana.post(f"{PATH}/take")
    world.later(seconds=world.settings.lock_seconds + 1)
    bia.get(PATH)
    bia.post(f"{PATH}/take")
    if judges:
        bia.post(f"{PATH}/verdict", verdict="LEGITIMATE", reason="HABIT", note="")
    ana.post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="sem <b>resposta</b>")
    assert (ana.status, ana.url) == (409, f"{PATH}/verdict")
    assert texts("pt")["error.JudgedMeanwhile" if judges else "error.HeldByAnother"] in ana.text
    assert "Sua nota, que não foi enviada: sem <b>resposta</b>" in ana.text
    assert "<b>" not in ana.html
    assert "verdict" not in re.findall(r'name="(\w+)"', ana.html)
    assert len(world.verdicts.published) == judges


def test_who_judged_is_told_that_a_second_person_disagreed() -> None:
    world = World(agreement_brl=0.0)
    world.now = NOW
    world.rows.add(PIX)
    ana, bia = Browser(world), Browser(world, "bia")
    for browser in (ana, bia):
        browser.get(PATH)
        browser.post(f"{PATH}/take")
        if browser is ana:
            browser.post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="")
    bia.post(f"{PATH}/answer", answer="DISAGREED")
    ana.get(PATH)
    assert texts("pt")["case.disputed"] in ana.text
    assert "/take" in ana.html


def test_a_note_that_is_refused_has_the_focus(world: World) -> None:
    browser = Browser(world)
    browser.get(PATH)
    browser.post(f"{PATH}/take")
    assert "autofocus" not in browser.html
    browser.post(f"{PATH}/verdict", verdict="FRAUD", reason="MULE", note="João da Silva")
    assert re.search(r'<textarea id="note"[^>]* autofocus>', browser.html)
