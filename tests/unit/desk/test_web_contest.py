"""The running comparison on the page of models: with data, without any, and with BigQuery away."""

from __future__ import annotations

import datetime as dt
import math
import re

import pytest

from shared.contract.event import micros
from shared.contract.measures import FORETOLD, SAVING
from shared.contract.rows import HealthRow, LedgerRow
from shared.desk.charts import HEIGHT, WIDTH
from shared.desk.contest import contest
from shared.desk.contest_plot import contest_plot
from shared.desk.web.texts import LANGUAGES, texts
from tests.unit.desk.browser import Browser
from tests.unit.desk.world import World

TODAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
SCRIPT = "<script>alert(1)</script>"


def looked(days_ago: int, value: float, low: float, high: float, measure: str = SAVING, **more: object) -> HealthRow:
    """Return the point of a look."""
    day = micros(TODAY - dt.timedelta(days=days_ago))
    values: dict[str, object] = {
        "model_version": "v2",
        "segment": "v1",
        "age_days": 14 if measure == SAVING else None,
    }
    values |= {"value": value, "low": low, "high": high} | more
    at = values.pop("measured_at", day)
    return HealthRow(day, at, measure, 9, **values)  # type: ignore[arg-type]  # by name


POINTS = [looked(5, -100.0, -9e9, 8e9), looked(4, 300.0, -500.0, 1_100.0), looked(3, 400.0, 100.0, 700.0)]
FORESIGHT = [looked(days, 350.0, -50.0, 750.0, FORETOLD) for days in (2, 1)]


@pytest.fixture
def world() -> World:
    world = World()
    world.watch.measured = [*POINTS, *FORESIGHT]
    return world


def page(world: World) -> Browser:
    browser = Browser(world)
    browser.get("/models")
    return browser


def test_the_page_draws_the_looks_with_words_and_their_query(world: World) -> None:
    shown = page(world)
    words = texts("pt")
    assert shown.status == 200
    assert shown.html.count("<svg") == 1
    assert [name for name in ("band", "line", "foretold") if f'<path class="{name}"' in shown.html] == [
        "band",
        "line",
        "foretold",
    ]
    assert words["contest.standing.saves"] in shown.text
    assert "model_version = 'v2'" in shown.html
    assert shown.html.count("<tr>") == len(POINTS) + 1


@pytest.mark.parametrize(
    ("point", "standing"),
    [((400.0, -1.0, 800.0), "open"), ((-400.0, -800.0, -1.0), "costs"), ((400.0, 1.0, 800.0), "saves")],
)
def test_words_follow_the_last_limits(world: World, point: tuple[float, float, float], standing: str) -> None:
    world.watch.measured.append(looked(2, *point))
    assert texts("pt")[f"contest.standing.{standing}"] in page(world).text


def test_before_labels_the_page_says_that_scores_alone_foretell(world: World) -> None:
    world.watch.measured = FORESIGHT
    shown = page(world)
    assert texts("pt")["contest.standing.foretold"] in shown.text
    assert shown.html.count("<svg") == 1
    assert '<path class="line"' not in shown.html


def test_an_end_is_told_with_its_reason_and_escaped(world: World) -> None:
    world.watch.moves = [LedgerRow(9, "CHALLENGE_BETTER", "job", SCRIPT, from_version="v1", to_version="v2")]
    shown = page(world)
    assert shown.html.count("CHALLENGE_BETTER") == 2  # with the comparison, and in the ledger
    assert SCRIPT not in shown.html


def test_the_comparison_looked_at_last_is_shown(world: World) -> None:
    world.watch.measured.append(looked(0, 5.0, -9.0, 9.0, model_version="v3", measured_at=micros(TODAY)))
    found = contest(world.watch.measured, [])
    assert found is not None
    assert (found.champion, found.challenger) == ("v1", "v3")


def test_without_a_comparison_the_page_says_so() -> None:
    shown = page(World())
    assert shown.status == 200
    assert texts("pt")["contest.none"] in shown.text
    assert "<svg" not in shown.html


def test_the_page_is_told_where_bigquery_is_away(world: World) -> None:
    world.watch.away = True
    shown = page(world)
    assert shown.status == 503
    assert texts("pt")["error.Unavailable"] in shown.text


def test_limits_that_dwarf_the_saving_are_cut_and_everything_stays_in_the_frame(world: World) -> None:
    found = contest(world.watch.measured, [])
    assert found is not None
    drawn = contest_plot(found)
    assert drawn.most == 1_600.0
    numbers = [float(each) for each in re.findall(r"-?\d+\.?\d*", drawn.line + " " + drawn.band)]
    assert all(0 <= each <= max(WIDTH, HEIGHT) for each in numbers)
    assert 8 < drawn.zero < HEIGHT


def test_a_single_look_that_saves_nothing_can_be_drawn() -> None:
    found = contest([looked(1, 0.0, 0.0, 0.0)], [])
    assert found is not None
    drawn = contest_plot(found)
    assert (drawn.line, drawn.band, len(drawn.dots)) == ("", "", 1)
    assert math.isfinite(drawn.zero)


def test_every_word_is_there_in_each_language() -> None:
    for language in LANGUAGES:
        named = {f"contest.standing.{each}" for each in ("foretold", "open", "saves", "costs")}
        assert named | {"contest", "contest.none", "contest.limits"} <= set(texts(language))
