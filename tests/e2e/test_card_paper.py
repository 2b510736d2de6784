"""The model card on paper: what could not be judged stands on its first page."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from shared.learning.judging import comparison
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.review import review
from tests.unit.learning.judging.reviews import COLUMNS, DATA, RULES, SPACIOUS, TEST, bundle, lost
from tests.unit.learning.judging.test_card import STAKES, card

pytest.importorskip("playwright", reason="Playwright is not installed")

from tests.e2e.desk_people import CHROMIUM, chromium
from tests.e2e.test_desk_paper import A4

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")

_LAST_LINE = """() => {
  const title = [...document.querySelectorAll("h2")].find(one => one.textContent === "What could not be judged");
  return title.nextElementSibling.getBoundingClientRect().bottom;
}"""


def test_what_could_not_be_judged_stands_on_the_first_page_of_paper() -> None:
    weak, strong = bundle("weak", COLUMNS[1:]), bundle("strong")
    period = comparison.TestPeriod.of(DATA, TEST, RULES, SPACIOUS, unjudged=lost(1.0, np.arange(0)))
    found = review(period, [(strong, 0.6)], weak, SPACIOUS.gate)
    overall = Estimate(77_000.0, Interval(-5_500.0, 190_000.0))
    verdict = msgspec.structs.replace(found.verdict, stakes=STAKES, overall=overall)
    with chromium() as browser:
        page = browser.new_page(viewport=A4)  # type: ignore[arg-type]  # a TypedDict of the same keys
        page.emulate_media(media="print")
        page.set_content(card(dataclasses.replace(found, verdicts=[verdict], chosen=0), {}))
        assert page.evaluate(_LAST_LINE) <= A4["height"]
