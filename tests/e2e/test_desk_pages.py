"""Every page of the desk in a browser: with data, without any, and with BigQuery away."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
import uvicorn

from shared.contract.rows import LedgerRow
from shared.desk.records import Payment
from shared.desk.web.app import desk_app
from shared.desk.web.texts import texts
from shared.trace.flow import Trace, follow
from shared.trace.graph import SECOND, Pix, TraceLimits, grow
from tests.unit.desk.browser import site
from tests.unit.desk.test_web_drift import ROWS as MOVED
from tests.unit.desk.test_web_health import ROWS as MEASURED
from tests.unit.desk.world import NOW, World, held
from tests.waiting import PATIENCE, until

pytest.importorskip("playwright", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.desk_people import CHROMIUM, chromium, press_until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")

CASE = f"/cases/{held().end_to_end_id}/PAYER"
MONEY, PACKET = f"{CASE}/money", f"{CASE}/packet"
CONTACT = "encarregado@banco.example"
HOPS = 5
LEGIBLE = 9
"""Height of a line of text that can be read, in pixels."""
WORDS = texts("pt")
PLOTTED = ("/health", "/drift", CASE, MONEY)
EMPTY = {
    "/": "queue.empty",
    "/quality": "quality.small",
    "/health": "health.none",
    "/drift": "health.none",
    "/models": "models.none",
}
PAGES = (*EMPTY, CASE, MONEY, PACKET)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SERIOUS = ("serious", "critical")


def chain() -> Trace:
    """Return the way of money that each payee passed on, through as many hops as are drawn."""
    passed = [Pix(f"E{hop}", f"{hop}" * 32, f"{hop + 1}" * 32, 90_000, 0, hop * SECOND) for hop in range(1, HOPS + 1)]
    graph = grow(passed[0], lambda spans: [each for each in passed if each.payer_id in spans], TraceLimits())
    return follow(graph, TraceLimits())


def full() -> World:
    """Return a desk with a case and the money of its payee, measures of some days and moves of models."""
    world = World(review_contact=CONTACT)
    world.rows.add(held())
    world.surroundings.payments = [Payment("E1", NOW - dt.timedelta(days=1), 90_000, "APPROVE", "1" * 32, "2" * 32)]
    world.surroundings.traces = {"E1": chain()}
    world.watch.measured = [*MEASURED, *MOVED]
    world.watch.moves = [LedgerRow(1, "SWAP", "ana", "saves", to_version="v1")]
    return world


@contextmanager
def served(world: World) -> Iterator[str]:
    """Yield the address of a desk over a world, while it is served."""
    settings = uvicorn.Config(desk_app(site(world)), port=0, log_config=None, lifespan="off", ws="none")
    server, socket = uvicorn.Server(settings), settings.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        socket.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@contextmanager
def visiting(browser: Browser, world: World) -> Iterator[Page]:
    """Yield a page of the user of a desk over a world."""
    with served(world) as url:
        context = browser.new_context(base_url=url)
        context.set_default_timeout(PATIENCE * 1_000)
        yield context.new_page()
        context.close()


def opened(page: Page, path: str) -> int:
    """Open a page of the desk, and return its status; axe finds nothing serious on it, in the light or the dark."""
    answer = page.goto(path)
    assert answer
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = [each["id"] for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS]
        assert found == [], (path, scheme)
    return answer.status


def says(page: Page, key: str) -> bool:
    """Return whether the page has the words of a key."""
    return WORDS[key] in page.locator("main").inner_text()


def test_every_page_opens_with_data(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        for path in PAGES:
            assert opened(page, path) == 200, path
            nothing = EMPTY.get(path, "case.money.none")
            assert path == "/quality" or not says(page, nothing), path
            assert page.locator("main svg").count() or path not in PLOTTED, path


def test_every_page_without_data_says_so(browser: Browser) -> None:
    with visiting(browser, World()) as page:
        for path, key in EMPTY.items():
            assert opened(page, path) == 200, path
            assert says(page, key), path
            assert page.locator("main svg").count() == 0, path
        for path in (CASE, MONEY, PACKET):
            assert opened(page, path) == 404, path
            assert says(page, "error.NoSuchCase"), path


def test_a_case_with_no_past_has_no_money_to_draw_and_a_document_that_says_what_is_missing(browser: Browser) -> None:
    bare = World(review_contact=CONTACT)
    bare.rows.add(held(reasons=(), score=None))
    with visiting(browser, bare) as page:
        assert opened(page, CASE) == 200
        expect(page.locator("#money")).to_contain_text(WORDS["case.money.none"])
        assert opened(page, MONEY) == 200
        assert says(page, "case.money.none")
        assert page.locator("main svg").count() == 0
        assert opened(page, PACKET) == 200
        expect(page.locator("#reasons")).to_contain_text("O modelo não deu motivos.")
        expect(page.locator("#outcome")).to_contain_text("Nada foi informado")


def test_every_page_says_that_bigquery_is_away_and_opens_once_it_is_back(browser: Browser) -> None:
    world = full()
    with visiting(browser, world) as page:
        world.rows.away = world.watch.away = world.surroundings.away = True
        for path in PAGES:
            assert opened(page, path) == 503, path
            assert says(page, "error.Unavailable"), path
        world.rows.away = world.watch.away = world.surroundings.away = False
        for path in PAGES:
            answer = page.goto(path)
            assert answer
            assert answer.status == 200, path


def test_a_case_opens_once_the_past_of_its_accounts_is_there(browser: Browser) -> None:
    world = full()
    with visiting(browser, world) as page:
        world.surroundings.away = True
        for path in (CASE, MONEY):
            assert opened(page, path) == 503, path
            assert says(page, "error.Unavailable"), path
        world.surroundings.away = False
        page.goto(CASE)
        expect(page.locator("#money svg")).to_be_visible()


def test_the_way_of_money_is_legible_on_the_case_and_a_table_for_who_does_not_see_it(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        page.goto(CASE)
        way = page.locator("#money svg")
        expect(way).to_be_visible()
        assert way.locator("rect").count() == HOPS
        shown = way.locator("text").filter(has_text=re.compile(r"\S"))
        heights = shown.evaluate_all("all => all.map(each => each.getBoundingClientRect().height)")
        assert min(heights) >= LEGIBLE
        assert str(HOPS) in (way.get_attribute("aria-label") or "")
        press_until(page, WORDS["case.money.table"])
        page.keyboard.press("Enter")
        rows = page.locator("#money tbody tr")
        expect(rows).to_have_count(HOPS)
        expect(rows.last).to_contain_text("R$\u00a0900,00")
        expect(rows.last).to_be_visible()


def test_the_way_of_money_is_read_from_end_to_end_by_keyboard(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        page.goto(CASE)
        expect(page.locator("#money svg")).to_be_visible()
        region = page.locator("#money .scroll").first
        for _ in range(60):
            page.keyboard.press("Tab")
            if region.evaluate("each => each === document.activeElement"):
                break
        page.keyboard.press("End")
        page.keyboard.press("ArrowRight")
        until(lambda: region.evaluate("each => each.scrollLeft") > 0)


def test_the_document_is_opened_by_keyboard_and_once_more(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        page.goto(CASE)
        press_until(page, WORDS["case.packet"])
        for _ in range(2):
            with page.expect_popup() as opening:
                page.keyboard.press("Enter")
            expect(opening.value.get_by_text(CONTACT)).to_be_visible()
            opening.value.close()


def test_a_queue_that_is_not_renewed_says_so_until_it_is(browser: Browser) -> None:
    world = World(refresh_seconds=0.2)
    world.rows.add(held())
    with visiting(browser, world) as page:
        page.goto("/")
        stale = page.get_by_text(WORDS["queue.stale"])
        expect(stale).to_be_hidden()
        world.locks.away = True
        expect(stale).to_be_visible()
        expect(page.locator("#cases tbody tr")).to_have_count(1)
        world.locks.away = False
        expect(stale).to_be_hidden()


def test_a_person_of_a_local_desk_changes_to_another(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        page.goto("/quality")
        page.get_by_label(WORDS["user"]).select_option("bia@bank.example")
        page.get_by_role("button", name=WORDS["become"]).click()
        expect(page.locator(".who span").first).to_contain_text("bia@bank.example")
        assert page.url.endswith("/quality")


def test_a_printed_case_has_no_forms_and_nothing_is_cut_off(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        page.goto(CASE)
        expect(page.locator("#money svg")).to_be_visible()
        page.set_viewport_size({"width": 794, "height": 1123})
        page.emulate_media(media="print")
        expect(page.get_by_role("navigation")).to_be_hidden()
        expect(page.get_by_role("button")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
