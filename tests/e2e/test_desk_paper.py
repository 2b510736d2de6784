"""Long words at the desk and in its documents: nothing is cut off on a narrow screen or on paper."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from shared.contract.event import micros
from shared.contract.rows import ReviewRow, SuspicionRow
from shared.contract.suspicion import Suspicion
from shared.desk.notes import NOTE_MAX
from shared.desk.packet.account import AccountPacket
from shared.desk.packet.render import account_html
from shared.desk.records import Payment
from tests.unit.desk.world import NOW, World, held

pytest.importorskip("playwright", reason="Playwright is not installed")

from playwright.sync_api import Browser, Page

from tests.e2e.desk_people import CHROMIUM, chromium
from tests.e2e.test_desk_pages import CASE, CONTACT, PACKET, visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")

WORD = "x" * NOTE_MAX
A4 = {"width": 643, "height": 972}
"""The inside of a page of A4 with margins of 2 cm, in CSS pixels."""
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def is_whole(page: Page) -> bool:
    """Return whether nothing is wider than the page."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_case_with_long_words_fits_a_phone_and_paper(browser: Browser) -> None:
    world, pix = World(review_contact=CONTACT), held(reasons=(WORD.upper(),), model_version=WORD)
    world.rows.add(pix)
    judged = ReviewRow(
        "r1", pix.end_to_end_id, "PAYER", "JUDGED", micros(NOW), "a" * 32, "MODEL", verdict="FRAUD", note=WORD
    )
    world.table.rows.append(judged)
    with visiting(browser, world) as page:
        for path in (CASE, PACKET, "/"):
            page.goto(path)
            page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a TypedDict of the same keys
            assert is_whole(page), path
            page.emulate_media(media="print")
            page.set_viewport_size(A4)  # type: ignore[arg-type]
            assert is_whole(page), path
            page.emulate_media(media="screen")


def test_the_record_of_an_account_fits_paper(browser: Browser) -> None:
    end = micros(NOW + dt.timedelta(days=30))
    found = (WORD, 1, (f"REPORT:{'r' * 36}",), end)
    row = SuspicionRow("e" * 32, "s" * 32, "a" * 32, "OPENED", micros(NOW), "b" * 32, *found)
    stopped = [Payment(held().end_to_end_id, NOW, 999_999_999_99, "REJECT", "1" * 32, "a" * 32)]
    page = browser.new_page(viewport=A4)  # type: ignore[arg-type]
    page.set_content(account_html(AccountPacket("a" * 32, [Suspicion((row, row))], stopped, NOW)))
    page.emulate_media(media="print")
    assert is_whole(page)
    page.close()
