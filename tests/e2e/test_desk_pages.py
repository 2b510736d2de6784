"""Every page of the desk in a browser: with data, without any, and with BigQuery away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from shared.contract.rows import LedgerRow
from shared.desk.web.app import desk_app
from shared.desk.web.texts import texts
from tests.unit.desk.browser import site
from tests.unit.desk.test_web_drift import ROWS as MOVED
from tests.unit.desk.test_web_health import ROWS as MEASURED
from tests.unit.desk.world import World, held
from tests.waiting import PATIENCE, until

pytest.importorskip("playwright", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.e2e.desk_people import CHROMIUM, chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")

CASE = f"/cases/{held().end_to_end_id}/PAYER"
WORDS = texts("pt")
PLOTTED = ("/health", "/drift")
EMPTY = {
    "/": "queue.empty",
    "/quality": "quality.small",
    "/health": "health.none",
    "/drift": "health.none",
    "/models": "models.none",
}
PAGES = (*EMPTY, CASE, f"{CASE}/money")
SERIOUS = ("serious", "critical")


def full() -> World:
    """Return a desk with a case, measures of some days and moves of models."""
    world = World()
    world.rows.add(held())
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
    """Open a page of the desk, and return its status; axe finds nothing serious on it."""
    answer = page.goto(path)
    assert answer
    found = [each["id"] for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS]
    assert found == [], path
    return answer.status


def says(page: Page, key: str) -> bool:
    """Return whether the page has the words of a key."""
    return WORDS[key] in page.locator("main").inner_text()


def test_every_page_opens_with_data(browser: Browser) -> None:
    with visiting(browser, full()) as page:
        for path in PAGES:
            assert opened(page, path) == 200, path
            assert path == "/quality" or not says(page, EMPTY.get(path, "health.none")), path
            assert page.locator("main svg").count() or path not in PLOTTED, path


def test_every_page_without_data_says_so(browser: Browser) -> None:
    with visiting(browser, World()) as page:
        for path, key in EMPTY.items():
            assert opened(page, path) == 200, path
            assert says(page, key), path
            assert page.locator("main svg").count() == 0, path
        assert opened(page, CASE) == 404


def test_every_page_says_that_bigquery_is_away_and_opens_once_it_is_back(browser: Browser) -> None:
    world = full()
    with visiting(browser, world) as page:
        world.rows.away = world.watch.away = True
        for path in PAGES:
            assert opened(page, path) == 503, path
            assert says(page, "error.Unavailable"), path
        world.rows.away = world.watch.away = False
        for path in PAGES:
            answer = page.goto(path)
            assert answer
            assert answer.status == 200, path
