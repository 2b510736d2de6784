"""Which days are measured, and what is kept where a run ends early."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from shared.adapters.memory.learning import MemoryHealth
from shared.contract.event import micros
from shared.contract.rows import HealthRow
from shared.errors import Unavailable
from shared.learning.monitoring.dispersion import ASSUMED, DAYS_MIN, DayCount
from shared.learning.monitoring.health_sql import HealthSql
from shared.learning.monitoring.ladder import AGES
from shared.learning.monitoring.measures import Key, cohort, label_growth, matured, traffic
from shared.learning.monitoring.monitor import Monitor, Monitored, due
from shared.scoring.rules import Rules
from tests.unit.learning.synthetic import CONFIG

NOW = dt.datetime(2026, 11, 20, 7, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
COHORT = {
    "side": "PAYER",
    "model_version": "v",
    "initiation_form": "DICT",
    "passed": 99,
    "missed": 4,
    "missed_brl": 1.0,
    "judged": 0,
    "confirmed": 0,
    "rejects_judged": 0,
    "rejects_confirmed": 0,
    "labelled": 0,
    "expected": 0.0,
    "spread": 0.0,
    "frauds": 0,
}
TRAFFIC: dict[str, Any] = {
    **dict.fromkeys(("held", "blocked", "rejected", "rejected_by_model", "control", "degraded", "late"), 0),
    "side": "PAYER",
    "model_version": "v",
    "decided": 99,
    "approved": 99,
    "rows": 99,
    "stopped": 0,
    "decide_ms_p50": 1,
    "decide_ms_p99": 2,
    "expected": 2.0,
    "spread": 1.0,
    "stopped_expected": 0.0,
    "stopped_spread": 0.0,
    "missed_brl": 9.0,
    "missed_brl_spread": 9.0,
}
KEY = Key(day=micros(NOW), measured_at=micros(NOW))


class Tables:
    """Queries that answer with the stored rows of health, and with nothing about Pix; `left` calls are answered."""

    def __init__(self, health: MemoryHealth) -> None:
        self.health, self.left = health, 1_000

    def rows(self, sql: str, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.left -= 1
        if self.left < 0:
            raise Unavailable("BigQuery is away")
        return [_stored(row) for row in self.health.stored] if ".health`" in sql else []


def _stored(row: HealthRow) -> dict[str, Any]:
    times = {name: dt.datetime.fromtimestamp(getattr(row, name) / 1e6, dt.UTC) for name in ("day", "measured_at")}
    return row.columns() | times


@pytest.fixture
def tables() -> Tables:
    return Tables(MemoryHealth())


def run(tables: Tables, days: int, now: dt.datetime = NOW) -> Monitored:
    sql = HealthSql("bank", "pix", 87, Rules([]))
    monitor = Monitor(tables, tables.health, sql, CONFIG.costs.by_side, lambda: now)
    return monitor.run(days, now, lambda *_: None)


def test_each_day_and_age_is_due_once(tables: Tables) -> None:
    assert (found := run(tables, 3)).days == 3
    assert found.cohorts == 3 * len(AGES)
    assert run(tables, 3).outcome == "NOTHING_TO_DO"
    assert run(tables, 3, NOW + DAY) == Monitored("MEASURED", 1, len(AGES), 1 + len(AGES))
    keys = [(row.day, row.age_days) for row in tables.health.stored]
    assert len(keys) == len(set(keys))


def test_a_run_after_an_outage_measures_what_is_missing(tables: Tables) -> None:
    run(tables, 7)
    assert run(tables, 7, NOW + 5 * DAY).days == 5


def test_a_day_is_left_alone_until_rows_delivered_again_are_stored() -> None:
    midnight = NOW.replace(hour=0)
    assert due([], 1, midnight + dt.timedelta(hours=5))[0].day == midnight - 2 * DAY
    assert due([], 1, midnight + dt.timedelta(hours=6))[0].day == midnight - DAY


def test_no_label_is_read_before_its_time() -> None:
    assert all(each.day + (1 + (each.age_days or 0)) * DAY <= NOW for each in due([], 30, NOW))


def test_a_run_that_is_cut_off_goes_on_later(tables: Tables) -> None:
    tables.left = 10
    with pytest.raises(Unavailable):
        run(tables, 2)
    kept = len(tables.health.stored)
    assert 0 < kept < 2 * (1 + len(AGES))
    tables.left = 1_000
    found = run(tables, 2)
    assert kept + found.rows == 2 * (1 + len(AGES))


def test_rows_of_each_side_are_projected_by_their_own_side() -> None:
    known = [
        HealthRow(day, 0, "missed", 9, side=side, age_days=age, value=value)
        for day in (1, 2)
        for side, late in (("PAYER", 60.0), ("PAYEE", 30.0))
        for age, value in zip(AGES, (10.0, *[late] * 6), strict=True)
    ]
    found = [{**COHORT, "side": side} for side in ("PAYER", "PAYEE")]
    rows = cohort(found, Key(day=3, measured_at=0, age_days=1), known)
    of_sides = [row for row in rows if row.segment is None]
    assert [row.value for row in of_sides if row.measure == "missed_projected"] == [24.0, 12.0]
    assert [row.value for row in of_sides if row.measure == "confirmed_precision"] == [None, None]


def test_forms_of_initiation_have_their_own_and_their_side_has_the_sum() -> None:
    forms = (("DICT", 30.0, 4, 3), ("MANU", 10.0, 2, 0))
    found = [
        {
            **COHORT,
            "initiation_form": form,
            "missed": missed,
            "missed_brl": 2 * missed,
            "judged": judged,
            "confirmed": own,
        }
        for form, missed, judged, own in forms
    ]
    key = Key(day=3, measured_at=0, age_days=AGES[-1])
    rows = cohort(found, key, [])
    told = {(row.measure, row.segment): (row.value, row.row_count) for row in rows}
    assert [told["missed", form] for form in (None, "DICT", "MANU")] == [(40.0, 198), (30.0, 99), (10.0, 99)]
    assert [told["missed_brl", form] for form in (None, "DICT", "MANU")] == [(80.0, 198), (60.0, 99), (20.0, 99)]
    assert [told["confirmed_precision", form] for form in (None, "DICT", "MANU")] == [(0.5, 6), (0.75, 4), (0.0, 2)]
    assert told["missed_projected", "DICT"] == (30.0, 99)
    assert {row.model_version for row in rows} == {"v"}


def test_the_growth_of_labels_counts_no_form_twice() -> None:
    known = [
        row
        for age, missed in ((AGES[0], 20), (AGES[1], 40))
        for row in cohort([{**COHORT, "missed": missed}], Key(day=1, measured_at=0, age_days=age), [])
    ]
    alone = [row for row in known if row.segment is None]
    assert [row.value for row in alone if row.measure == "missed"] == [20, 40]
    later = [HealthRow(1, 0, "missed", 9, side="PAYER", age_days=age, value=40.0) for age in AGES[2:]]
    assert label_growth([*known, *later], AGES[0]) == 2.0


def test_at_the_last_age_the_frauds_are_held_against_those_foretold() -> None:
    key = Key(day=3, measured_at=0, side="PAYER", model_version="v", age_days=AGES[-1])
    foretold = HealthRow(3, 0, "expected_missed", 9, side="PAYER", model_version="v", value=2.0)
    one = {**COHORT, "missed": 3}
    [ratio] = [row for row in cohort([one], key, [foretold]) if row.measure == "missed_ratio"]
    assert ratio.value == 1.5


def test_a_day_without_pix_is_measured() -> None:
    assert [(row.measure, row.value) for row in traffic([], KEY, {}, [])] == [("decided", 0)]
    assert [(row.measure, row.value) for row in cohort([], KEY, [])] == [("missed", 0)]


def test_intervals_are_as_wide_as_matured_days_were_wrong() -> None:
    labelled = {"labelled": 9, "expected": 2.0, "spread": 1.0}
    known: list[HealthRow] = []
    for number in range(DAYS_MIN):
        key = Key(micros(NOW - (AGES[-1] + 1 + number) * DAY), 0, age_days=AGES[-1])
        known += cohort([{**COHORT, **labelled, "frauds": 5}], key, [])
    learnt, assumed = (
        {row.measure: row for row in traffic([TRAFFIC], KEY, CONFIG.costs.by_side, rows)}
        for rows in (known, known[len(known) // DAYS_MIN :])
    )
    assert (learnt["dispersion"].value, learnt["dispersion"].segment) == (9.0, "MATURED")
    assert learnt["dispersion"].row_count == DAYS_MIN
    assert (assumed["dispersion"].value, assumed["dispersion"].segment) == (ASSUMED, "ASSUMED")
    wide, narrow = (found["expected_frauds"].high or 0.0 for found in (learnt, assumed))
    assert wide > narrow > TRAFFIC["expected"]


def test_labels_of_models_that_shared_a_day_are_one_observation() -> None:
    key = Key(micros(NOW - (AGES[-1] + 1) * DAY), 0, age_days=AGES[-1])
    two = [
        {**COHORT, "model_version": name, "labelled": 9, "expected": 2.0, "spread": 1.0, "frauds": 1} for name in "ab"
    ]
    rows = cohort(two, key, [])
    assert matured(rows, "PAYER", KEY.day) == [DayCount(4.0, 2.0, 2.0)]
    assert matured(rows, "PAYEE", KEY.day) == []
    assert matured(rows, "PAYER", micros(NOW - DAY)) == []
