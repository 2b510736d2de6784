"""The case desk in a browser, against the local cloud: queue, case, verdict, label."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import pytest

from infra.local.cloud import LocalCloud
from infra.local.desk import REVIEW_CONTACT
from tests.functions.world import ask
from tests.waiting import PATIENCE, until, until_equal

pytest.importorskip("playwright", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect

from tests.e2e.desk_people import CHROMIUM, chromium, held_pix, path_of, person, press_until, publish, tail_of

expect.set_options(timeout=PATIENCE * 1_000)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")

SERIOUS = ("serious", "critical")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NOTE = "<script>document.title = 'owned'</script>"
REFRESH_SECONDS = 0.9
"""Two looks of an open queue take less than 2 s; before the second one, an earlier read is too old to be shown."""


class Place(NamedTuple):
    """A local cloud with a desk, and a browser."""

    cloud: LocalCloud
    browser: Browser
    url: str

    def reports(self, end_to_end_id: str) -> int:
        """Return the number of reports about a Pix."""
        sql = "SELECT COUNT(DISTINCT report_id) AS n FROM pix.feedback WHERE end_to_end_id = @id"
        return int(ask(self.cloud, sql, id=end_to_end_id)[0].n)

    def verdict(self, end_to_end_id: str) -> str | None:
        """Return the verdict in force about a Pix."""
        rows = ask(self.cloud, "SELECT verdict FROM pix.labels WHERE end_to_end_id = @id", id=end_to_end_id)
        return str(rows[0].verdict) if rows else None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("desk")
    with LocalCloud(home, pubsub="embedded", state_call_seconds=30.0, append_timeout_seconds=30.0) as cloud:
        cloud.start_functions()
        url = cloud.start_desk(agreement_brl=1_000.0, second_share=0.0, refresh_seconds=REFRESH_SECONDS)
        with chromium() as browser:
            yield Place(cloud, browser, url)


@pytest.fixture
def someone(place: Place) -> Iterator[Callable[[str], Page]]:
    """Return the page of a named user; it is closed with the test, as an open queue goes on reading."""
    pages: list[Page] = []

    def enter(name: str) -> Page:
        pages.append(person(place.browser, place.url, name))
        return pages[-1]

    yield enter
    for page in pages:
        page.context.close()


def is_queue(response: Response) -> bool:
    """Return whether a response is a look of the queue."""
    return response.url.endswith("/") and response.request.resource_type == "fetch"


def take(page: Page, path: str) -> None:
    """Open a case once its row is there, and take it."""
    until(lambda: page.goto(path).status == 200)
    page.get_by_role("button", name="Pegar o caso").click()


def fill(page: Page, verdict: str = "Fraude", note: str = "") -> None:
    """Fill the verdict form."""
    page.get_by_label(verdict).check()
    page.get_by_label("Motivo").select_option("MULE")
    page.get_by_label("Nota").fill(note)


def test_a_held_pix_appears_is_taken_judged_by_keyboard_and_labelled(
    place: Place, someone: Callable[[str], Page]
) -> None:
    page, pix = someone("ana"), held_pix("first")
    page.goto("/")
    looks: list[Response] = []
    page.on("response", lambda response: looks.append(response) if is_queue(response) else None)
    publish(place.cloud, pix)
    until(lambda: ask(place.cloud, "SELECT 1 FROM pix.scores WHERE end_to_end_id = @id", id=pix["end_to_end_id"]))
    stored = time.time()
    expect(page.get_by_role("link", name=tail_of(pix))).to_be_visible()  # the queue renews itself
    later = [look for look in looks if look.request.timing["startTime"] >= 1_000 * stored]
    assert any(pix["end_to_end_id"] in look.text() for look in looks if look not in later[2:])
    press_until(page, "Pegar o próximo")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{path_of(pix)}")
    press_until(page, "verdict")
    page.keyboard.press("Space")
    press_until(page, "reason")
    page.keyboard.press("ArrowDown")
    press_until(page, "Enviar o veredito")
    page.keyboard.press("Enter")
    expect(page.locator("#given")).to_have_text("Fraude")
    until_equal(lambda: place.verdict(pix["end_to_end_id"]), "FRAUD")
    page.goto("/")
    expect(page.get_by_role("link", name=tail_of(pix))).to_have_count(0)
    after = held_pix("after", payee__account="8first", payee_statistics__fraud_markers={})
    publish(place.cloud, after)
    sql = "SELECT reasons FROM pix.scores WHERE end_to_end_id = @id"
    (row,) = until(lambda: ask(place.cloud, sql, id=after["end_to_end_id"]))
    assert "PAYEE_CONFIRMED_FRAUD" in row.reasons  # history knows the verdict
    sql = "SELECT verdict FROM pix.training_examples WHERE end_to_end_id = @id"
    (example,) = ask(place.cloud, sql, id=pix["end_to_end_id"])
    assert example.verdict == "FRAUD"  # and so does the next training


def test_two_analysts_never_hold_one_case(place: Place, someone: Callable[[str], Page]) -> None:
    pix = held_pix("two")
    publish(place.cloud, pix)
    ana, bia = someone("ana"), someone("bia")
    until(lambda: bia.goto(path_of(pix)).status == 200)
    take(ana, path_of(pix))
    expect(ana.get_by_role("button", name="Enviar o veredito")).to_be_visible()
    bia.get_by_role("button", name="Pegar o caso").click()
    expect(bia.get_by_role("alert")).to_contain_text("Outra pessoa")
    ana.get_by_role("button", name="Devolver à fila").click()
    take(bia, path_of(pix))
    expect(bia.get_by_role("button", name="Enviar o veredito")).to_be_visible()


def test_above_an_amount_a_second_person_agrees(place: Place, someone: Callable[[str], Page]) -> None:
    pix = held_pix("large", amount="4000.00")
    publish(place.cloud, pix)
    ana, bia = someone("ana"), someone("bia")
    take(ana, path_of(pix))
    fill(ana, note=NOTE)
    ana.get_by_role("button", name="Enviar o veredito").click()
    expect(ana.get_by_text("uma segunda pessoa precisa concordar")).to_be_visible()
    assert place.reports(pix["end_to_end_id"]) == 0
    take(bia, path_of(pix))
    expect(bia.locator("q").first).to_have_text(NOTE)  # as text
    assert "owned" not in bia.title()
    bia.get_by_role("button", name="Concordo").click()
    expect(bia.get_by_text("julgado")).to_be_visible()
    until_equal(lambda: place.verdict(pix["end_to_end_id"]), "FRAUD")


def test_a_lost_connection_double_click_back_and_reload_do_no_harm(
    place: Place, someone: Callable[[str], Page]
) -> None:
    pix, page = held_pix("again"), someone("ana")
    publish(place.cloud, pix)
    take(page, path_of(pix))
    fill(page)
    page.context.set_offline(True)
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Enviar o veredito").click()
    page.context.set_offline(False)
    page.goto(path_of(pix))  # it is still theirs
    fill(page)
    page.get_by_role("button", name="Enviar o veredito").dblclick()
    expect(page.locator("#given")).to_have_text("Fraude")
    page.go_back()
    expect(page.locator("#given")).to_have_text("Fraude")  # no page of before the verdict is kept
    page.reload()
    expect(page.locator("#given")).to_have_text("Fraude")
    until_equal(lambda: place.reports(pix["end_to_end_id"]), 1)


def test_the_packet_button_opens_the_explanation_of_the_decision(
    place: Place, someone: Callable[[str], Page]
) -> None:
    pix, page = held_pix("packet"), someone("rui")
    publish(place.cloud, pix)
    until(lambda: page.goto(path_of(pix)).status == 200)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Explicação para a pessoa").click()
    document = opened.value
    expect(document.get_by_role("heading", level=1)).to_have_text("Explicação de uma decisão automatizada")
    expect(document.get_by_text(pix["end_to_end_id"])).to_be_visible()
    expect(document.get_by_text(REVIEW_CONTACT).first).to_be_visible()
    assert pix["payer"]["tax_id"] not in document.content()


def test_axe_finds_nothing_serious(place: Place, someone: Callable[[str], Page]) -> None:
    pix, page = held_pix("axe"), someone("sol")
    publish(place.cloud, pix)
    take(page, path_of(pix))
    figures = ("/quality", "/health", "/drift", "/models")
    for path in ("/", path_of(pix), f"{path_of(pix)}/money", *figures, "/cases/E1/PAYER"):
        page.goto(path)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found = [each for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS]
            assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], path
