"""The page of drift: with data, without any, and with BigQuery away."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from shared.contract.cause import CAUSE, CHANGES, CauseRecord
from shared.contract.event import micros
from shared.contract.rows import HealthRow
from shared.desk.drift import SCORES, drift
from shared.desk.web.texts import LANGUAGES, texts
from tests.unit.desk.browser import Browser
from tests.unit.desk.world import World

SCRIPT = "<script>alert(1)</script>"
TODAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def row(days_ago: int, measure: str, value: float | None, segment: str | None = None, at: int = 1) -> HealthRow:
    return HealthRow(
        micros(TODAY - dt.timedelta(days=days_ago)),
        at,
        measure,
        100,
        model_version="v1",
        segment=segment,
        value=value,
    )


def cause(rank: int, source: str, at: int = 1, **more: Any) -> HealthRow:
    return row(2, CAUSE, 0.5, CauseRecord(rank, source, "CONTRACT", **more).text(), at)


ROWS = [
    *(row(days, measure, 0.1 * days) for days in (3, 2, 1) for measure in SCORES),
    *(row(2, measure, value) for measure, value in zip(CHANGES, (0.25, -3.0, 1_500.0), strict=True)),
    cause(2, "device", publisher="12345678", evidence=["device missing"]),
    cause(1, "amount", segment=SCRIPT, examples=["E1", "E2"]),
    row(2, CAUSE, 0.5, "{"),
    row(1, "input_weighted", 0.05, "amount"),
    row(1, "input_limit", 0.2, "amount"),
    row(1, "input_weighted", 0.3, "hour_habit"),
    row(1, "input_limit", 0.1, "hour_habit"),
    row(2, "input_weighted", 9.0, "yesterday"),
    row(1, "publisher_weighted", 0.4, "amount 12345678"),
]


@pytest.fixture
def world() -> World:
    world = World()
    world.watch.measured = list(ROWS)
    return world


def test_every_figure_has_a_plot_or_table_and_its_query(world: World) -> None:
    browser = Browser(world)
    html = browser.get("/drift")
    assert browser.status == 200
    assert html.count("<svg") == len(SCORES) + 2
    assert html.count("FROM pix.health WHERE measure = ") == len(SCORES) + 3
    assert SCRIPT not in html
    assert browser.text.index("amount") < browser.text.index("ISPB 12345678")
    for shown in ("E1", "device missing", texts("pt")["kind.CONTRACT"], "amount 12345678"):
        assert shown in browser.text


def test_an_input_beyond_its_limit_comes_first_and_only_the_last_day_counts() -> None:
    found = drift(ROWS, ROWS)
    assert found.inputs is not None
    assert [(bar.name, bar.is_beyond) for bar in found.inputs.bars] == [("hour_habit", True), ("amount", False)]
    assert [each.rank for each in found.explained[0].causes] == [1, 2]
    assert found.explained[0].changes == (0.25, -3.0, 1_500.0)


def test_of_two_explanations_of_a_day_the_later_one_shows() -> None:
    found = drift([*ROWS, cause(1, "purpose", at=2)], [])
    assert [each.source for each in found.explained[0].causes] == ["purpose"]


def test_a_page_without_data_says_so() -> None:
    browser = Browser(World())
    browser.get("/drift")
    assert browser.status == 200
    assert "<svg" not in browser.html
    assert texts("pt")["health.none"] in browser.text


def test_the_page_is_told_where_bigquery_is_away(world: World) -> None:
    world.watch.away = True
    browser = Browser(world)
    browser.get("/drift")
    assert browser.status == 503
    assert texts("pt")["error.Unavailable"] in browser.text


def test_every_measure_and_kind_has_words_in_each_language() -> None:
    names = [*(f"measure.{name}" for name in (*SCORES, "input_weighted", "publisher_weighted"))]
    for language in LANGUAGES:
        assert {*names, "kind.CODE", "kind.CONTRACT", "kind.TRAFFIC"} <= set(texts(language))
