"""The pages of health and models: with data, without any, and with BigQuery away."""

from __future__ import annotations

import datetime as dt
import math
import re

import pytest

from shared.contract.event import micros
from shared.contract.rows import HealthRow, LedgerRow
from shared.desk.health import PANELS, health
from shared.desk.series_plot import plot
from shared.desk.web.texts import LANGUAGES, texts
from tests.unit.desk.browser import Browser
from tests.unit.desk.world import World

SCRIPT = "<script>alert(1)</script>"
TODAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def measured(
    days_ago: int, measure: str, value: float, side: str = "PAYER", rows: int = 100, **more: object
) -> HealthRow:
    day = micros(TODAY - dt.timedelta(days=days_ago))
    values: dict[str, object] = {"model_version": "v1", "low": value / 2, "high": value * 2} | more
    return HealthRow(day, day, measure, rows, side=side, value=value, **values)  # type: ignore[arg-type]  # by name


ROWS = [measured(days, measure, 0.25) for days in (3, 2, 1) for measure in PANELS]
LABELS = [measured(3, "missed_projected", 9.0, age_days=age) for age in (1, 7)]


@pytest.fixture
def world() -> World:
    world = World()
    world.watch.measured = [*ROWS, *LABELS]
    world.watch.moves = [
        LedgerRow(1, "PUBLISH", "ana", "trained", to_version="v1"),
        LedgerRow(2, "SWAP", "ana", "saves", to_version="v1"),
        LedgerRow(3, "REFUSE", "ana", SCRIPT, to_version="v2"),
    ]
    return world


def test_each_measure_has_a_plot_its_figures_and_its_query(world: World) -> None:
    browser = Browser(world)
    html = browser.get("/health")
    assert browser.status == 200
    assert html.count("<svg") == len(PANELS)
    assert html.count('class="band"') == len(PANELS)
    for measure in PANELS:
        assert f"WHERE measure = &#39;{measure}&#39;" in html or f"WHERE measure = '{measure}'" in html
        assert texts("pt")[f"measure.{measure}"] in browser.text


def test_every_measure_has_words_in_each_language() -> None:
    for language in LANGUAGES:
        assert {f"measure.{name}" for name in PANELS} <= set(texts(language))


def test_labels_show_as_they_are_known_last() -> None:
    [side] = health([*ROWS, *LABELS, measured(3, "missed_projected", 12.0, age_days=14)])
    [missed] = [series for series in side.series if series.measure == "expected_missed"]
    assert [point.value for point in missed.labelled] == [12.0]


def test_counts_are_summed_over_models_and_shares_are_those_of_the_busier_one() -> None:
    rows = [measured(1, name, 0.5, model_version="v2", rows=50, low=0.1, high=1.0) for name in ("decided", "stopped")]
    [side] = health([*ROWS, *rows])
    latest = {series.measure: series.points[-1] for series in side.series}
    assert latest["stopped"].value == 0.25
    decided = latest["decided"]
    assert decided.value == 0.75
    assert decided.low == pytest.approx(0.75 - math.hypot(0.125, 0.4))
    assert decided.high == pytest.approx(0.75 + math.hypot(0.25, 0.5))


def test_a_single_day_and_no_movement_can_be_drawn() -> None:
    [side] = health([measured(1, "decided", 0.0, low=None, high=None)])
    drawn = plot(side.series[0])
    assert (drawn.line, drawn.band, len(drawn.dots)) == ("", "", 1)


def test_both_sides_are_apart(world: World) -> None:
    world.watch.measured.append(measured(1, "decided", 5.0, side="PAYEE"))
    html = Browser(world).get("/health")
    assert html.count("<svg") == len(PANELS) + 1


@pytest.mark.parametrize("path", ["/health", "/models"])
def test_pages_without_data_say_so(path: str) -> None:
    browser = Browser(World())
    browser.get(path)
    assert browser.status == 200
    assert "<svg" not in browser.html
    assert texts("pt")["health.none" if path == "/health" else "models.none"] in browser.text


@pytest.mark.parametrize("path", ["/health", "/models"])
def test_pages_are_told_where_bigquery_is_away(world: World, path: str) -> None:
    world.watch.away = True
    browser = Browser(world)
    browser.get(path)
    assert browser.status == 503
    assert texts("pt")["error.Unavailable"] in browser.text


def test_the_ledger_is_latest_first_and_names_the_model_that_serves(world: World) -> None:
    browser = Browser(world)
    html = browser.get("/models")
    assert re.findall(r'class="tag">(\w+)<', html) == ["REFUSE", "SWAP", "PUBLISH"]
    assert f"{texts('pt')['models.serving']} v1" in browser.text
    assert SCRIPT not in html
    assert "alert(1)" in browser.text
