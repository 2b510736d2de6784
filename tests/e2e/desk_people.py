"""People at the desk of a local cloud, each in a browser of their own."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.cloud.pubsub_v1 import PublisherClient
from playwright.sync_api import Browser, Page, sync_playwright

from infra.local.cloud import LocalCloud
from shared.contract.topics import TRANSACTIONS
from shared.desk.web.session import USER_COOKIE
from tests.builders import encoded, transaction
from tests.waiting import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKED = {"mule_accounts": {"d90": 1, "m12": 0, "m60": 0}}
"""A fraud marker of the payee in DICT, for which a rule holds a Pix."""
_MILLISECONDS = 1_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


def person(browser: Browser, url: str, name: str) -> Page:
    """Return the page of a named user, in a context without anything of others."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(PATIENCE * _MILLISECONDS)
    context.add_cookies([{"name": USER_COOKIE, "value": f"{name}@desk.local", "url": url}])
    return context.new_page()


def held_pix(tail: str, amount: str = "150.00", **changes: Any) -> dict[str, Any]:
    """Return a Pix of now that a rule holds; `tail` ends its id."""
    now = dt.datetime.now(dt.UTC)
    return transaction(
        end_to_end_id=f"E12345678{now:%Y%m%d%H%M}{tail:0>11}",
        initiated_at=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        amount=amount,
        **{"payer__account": f"9{tail}", "payee__account": f"8{tail}", "payee_statistics__fraud_markers": MARKED}
        | changes,
    )


def publish(cloud: LocalCloud, *messages: dict[str, Any]) -> None:
    """Publish Pix, and wait until they are."""
    publisher = PublisherClient()
    path = publisher.topic_path(cloud.settings.project, TRANSACTIONS)
    sent = [publisher.publish(path, encoded(each)) for each in messages]
    assert all(future.result(PATIENCE) for future in sent)
    publisher.stop()
    publisher.transport.close()


def press_until(page: Page, words: str) -> None:
    """Move by the tabulator until the element with these words, or this name, has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(_FOCUSED, words):
            return
    raise AssertionError(f"no way to {words!r} by the tabulator")


_FOCUSED = """words => {
  const at = document.activeElement;
  return at.name === words || at.textContent.trim() === words;
}"""


def path_of(message: dict[str, Any]) -> str:
    """Return the path of the case of a Pix by the payer's side."""
    return f"/cases/{message['end_to_end_id']}/PAYER"


def tail_of(message: dict[str, Any]) -> re.Pattern[str]:
    """Return the words of a link to the case of a Pix."""
    return re.compile(message["end_to_end_id"][-11:])
