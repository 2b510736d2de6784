"""Inputs of days: moves weighed by the model, habits, the split of the score, and what is told to the ledger."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.learning import MemoryLedger, MemoryQueries
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.rows import HealthRow
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.profile import Profile
from shared.learning.monitoring.day_inputs import (
    OTHERS,
    PUBLISHERS,
    DayInputs,
    anchors_of,
    count_day,
    keep_day,
    read_day,
)
from shared.learning.monitoring.habit import moves
from shared.learning.monitoring.histogram import Histogram, moved, stability
from shared.learning.monitoring.input_sql import InputSql
from shared.learning.monitoring.inputs import alerts, health_rows, loss_alert, measure
from shared.learning.monitoring.measures import Key
from shared.learning.monitoring.score_mix import score_move
from shared.learning.monitoring.watch import InputWatch
from shared.scoring.bundle import MANIFEST, POINTER, Pointer, path
from tests.unit.learning.bundles import NAMES, small_bundle
from tests.unit.learning.synthetic import CONFIG

DAY = dt.timedelta(days=1)
FIRST = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
SPEC = CONFIG.drift
FILES = small_bundle("v1")
PROFILE = msgspec.json.decode(FILES["profile.json"], type=Profile)
ONE, OTHER = "11111111", "22222222"
IGNORED = NAMES[2]


def profile_without(name: str) -> Profile:
    """Return the profile of a model that makes nothing of an input."""
    column = PROFILE.features[name]
    none = msgspec.structs.replace(column, effects=[0.0] * (len(column.edges) + 2))
    return Profile(PROFILE.features | {name: none}, PROFILE.score)


def day(
    number: int,
    shift: dict[str, float] | None = None,
    publisher: str | None = None,
    rows: int = 600,
    big: float = 0.1,
) -> DayInputs:
    """Return a day of two publishers; inputs of one of them, or of both, may be shifted, and amounts be large."""
    rng = np.random.default_rng(number)
    features = np.full((rows, len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    features[:, : len(NAMES)] = rng.normal(size=(rows, len(NAMES)))
    publishers = np.where(np.arange(rows) % 3 == 0, OTHER, ONE)
    own = np.ones(rows, dtype=bool) if publisher is None else publishers == publisher
    for name, by in (shift or {}).items():
        features[own, NAMES.index(name)] += by
    large = rng.random(rows) < big
    scores = np.where(large, rng.uniform(0.5, 0.9, rows), rng.uniform(0.1, 0.5, rows))
    amounts = np.where(large, 8_000.0, 40.0)
    anchors = anchors_of([], PROFILE)
    return count_day(
        FIRST + number * DAY, "v1", PROFILE, anchors, features, publishers.tolist(), scores, amounts, ["DICT"] * rows
    )


KNOWN = [day(number) for number in range(20)]


def alerted(today: DayInputs, profile: Profile = PROFILE) -> list[str]:
    found = measure(today, KNOWN, profile, SPEC)
    return [each.action for each in alerts(today, KNOWN, profile, SPEC, found.moves)]


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3), st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_a_distance_is_never_negative_and_that_to_itself_is_none(counts: list[int], effects: list[float]) -> None:
    one, other = Histogram([0.0, 1.0], 1, counts), Histogram([0.0, 1.0], 2, [5, 6, 7])
    assert moved(one, one, np.array(effects)) == stability(one, one) == 0.0
    assert moved(one, other, np.array(effects)) >= 0.0
    assert (one + other) - other == one


def test_quiet_days_are_quiet() -> None:
    assert alerted(day(20)) == []


def test_a_move_of_all_trains_and_one_of_a_publisher_alone_alerts() -> None:
    assert alerted(day(20, {NAMES[0]: 1.5})) == ["DRIFT"]
    assert alerted(day(20, {NAMES[0]: 2.0}, publisher=OTHER)) == ["FEATURE_DRIFT"]
    assert alerted(day(20, {NAMES[0]: 2.0}, publisher=ONE)) == ["FEATURE_DRIFT"]


def test_an_input_that_the_model_ignores_alerts_nobody() -> None:
    profile = profile_without(IGNORED)
    assert alerted(day(20, {IGNORED: 5.0})) == ["DRIFT"]
    assert alerted(day(20, {IGNORED: 5.0}), profile) == []
    rows = health_rows(day(20, {IGNORED: 5.0}), profile, measure(day(20), KNOWN, profile, SPEC), Key(1, 1))
    weights = {row.segment: row.value for row in rows if row.measure == "input_weight"}
    assert weights[IGNORED] == 0
    assert (weights[NAMES[0]] or 0) > 0.3


def test_an_unknown_habit_alerts_nobody() -> None:
    far = day(20, {NAMES[0]: 5.0})
    assert all(each.limit is None for each in moves(far, KNOWN[: SPEC.movements_min], PROFILE, SPEC))
    assert moves(far, [], PROFILE, SPEC) == []


def test_days_under_another_champion_are_compared_by_the_bins_that_both_have() -> None:
    other = msgspec.structs.replace(
        PROFILE.features[NAMES[0]], edges=[-0.5, 0.5], counts=[3, 4, 3], effects=[0.0, -1.0, 0.0, 1.0]
    )
    profile = Profile(PROFILE.features | {NAMES[0]: other}, PROFILE.score)
    today = day(20, {NAMES[0]: 1.5})
    assert [each.action for each in alerts(today, KNOWN, profile, SPEC, moves(today, KNOWN, profile, SPEC))] == [
        "DRIFT"
    ]
    assert anchors_of(KNOWN, profile)[NAMES[0]] == PROFILE.features[NAMES[0]].edges


def test_a_score_that_follows_the_mix_of_traffic_is_told_from_one_that_does_not() -> None:
    mix = score_move(day(20, big=0.5), KNOWN)
    assert mix is not None
    assert mix.total > 0.25
    assert mix.mix > 0.9 * mix.total
    same = day(20)
    turned = [msgspec.structs.replace(cell, bins=cell.bins[::-1]) for cell in same.cells]
    given_ = score_move(msgspec.structs.replace(same, cells=turned), KNOWN)
    assert given_ is not None
    assert given_.given > 0.9 * given_.total > 0.2
    assert score_move(same, KNOWN[:3]) is None


def test_publishers_beyond_the_largest_are_together() -> None:
    names = [f"{number:08d}" for number in range(PUBLISHERS + 3) for _ in range(number + 1)]
    features = np.zeros((len(names), len(FEATURE_NAMES)), dtype=np.float32)
    ones = np.ones(len(names))
    found = count_day(
        FIRST, "v1", PROFILE, anchors_of([], PROFILE), features, names, ones, ones, ["DICT"] * len(names)
    )
    assert len(found.publishers) == PUBLISHERS + 1
    assert (found.publishers[OTHERS].rows, found.rows) == (1 + 2 + 3, len(names))


def losses(days: int, value: float, low: float) -> list[HealthRow]:
    return [
        row
        for number in range(days)
        for row in (
            HealthRow(number, 0, "decided", 1_000, side="PAYER", value=1_000.0),
            HealthRow(number, 0, "expected_missed_brl", 1_000, side="PAYER", value=value, low=low),
        )
    ]


@pytest.mark.parametrize(
    ("known", "value", "low", "alerts_of_it"),
    [(20, 200.0, 150.0, True), (20, 200.0, 90.0, False), (20, 140.0, 130.0, False), (5, 200.0, 150.0, False)],
)
def test_a_loss_foretold_above_the_usual_one_trains_if_it_is_beyond_chance(
    known: int, value: float, low: float, alerts_of_it: bool
) -> None:
    today = [msgspec.structs.replace(row, day=99) for row in losses(1, value, low)]
    found = loss_alert(today, losses(known, 100.0, 60.0), SPEC)
    assert (found is not None) == alerts_of_it
    assert found is None or (found.action, round(found.figures["loss_rise"], 2)) == ("DRIFT", 2.0)


class Cloud:
    """Buckets and a ledger with days already counted, and queries that nobody may send."""

    def __init__(self, today: DayInputs) -> None:
        self.models, self.rows, self.ledger = MemoryBlobs(), MemoryBlobs(), MemoryLedger()
        self.models.write(POINTER, msgspec.json.encode(Pointer("v1", FIRST.isoformat())), 0)
        for name in (MANIFEST, "profile.json"):
            self.models.write(path("v1", name), FILES[name], 0)
        for each in (*KNOWN, today):
            keep_day(self.rows, each)
        self.today, self.queries = today, MemoryQueries(self._none)

    def _none(self, sql: str, _: Any) -> list[dict[str, Any]]:
        raise AssertionError(sql)

    def measured(self) -> list[HealthRow]:
        sql = InputSql("p", "pix")
        watch = InputWatch(self.queries, sql, self.models, self.rows, self.ledger, SPEC, lambda: FIRST, "me")
        return watch.measured(self.today.day, Key(micros(self.today.day), 1), [], [])


def test_a_day_that_was_counted_is_not_read_again_and_its_drift_is_in_the_ledger() -> None:
    cloud = Cloud(day(20, {NAMES[0]: 1.5}))
    rows = cloud.measured()
    assert {row.model_version for row in rows} == {"v1"}
    [row] = cloud.ledger.stored
    assert (row.action, row.to_version, row.as_of) == ("DRIFT", "v1", micros(FIRST + 21 * DAY))
    assert NAMES[0] in row.reason


def test_without_a_champion_no_inputs_are_measured() -> None:
    cloud = Cloud(day(20))
    cloud.models.objects.clear()
    assert cloud.measured() == []


def test_counts_that_cannot_be_read_are_left_out() -> None:
    cloud = Cloud(day(20))
    cloud.rows.write("health/inputs/2026-12-01.json", b"{", 0)
    assert read_day(cloud.rows, dt.datetime(2026, 12, 1, tzinfo=dt.UTC)) is None
