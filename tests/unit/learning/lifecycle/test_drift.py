"""The population stability index, and drift of the champion's inputs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.learning import MemoryExports, MemoryLedger, MemoryQueries
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.learning.data.profile import ColumnProfile, OrderedColumn, Profile, column_profile, stability_index
from shared.learning.errors import NothingToDo
from shared.learning.lifecycle import drift
from shared.learning.lifecycle.drift import Drift, DriftSource, champion_drift, record_drift
from shared.learning.lifecycle.windows import object_name, read_memory
from shared.scoring.bundle import MANIFEST, POINTER, Manifest, Pointer, digest, path
from tests.unit.learning.synthetic import CONFIG

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
values = st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


def index(reference: ColumnProfile, values: np.ndarray) -> float:
    return stability_index(reference, OrderedColumn.of(values))


def described(column: np.ndarray) -> ColumnProfile:
    return column_profile(column)


@given(values)
def test_the_reference_itself_has_not_drifted(reference: list[float]) -> None:
    column = np.array(reference)
    assert index(described(column), column) < 1e-9


def test_a_constant_column_has_not_drifted() -> None:
    assert index(described(np.zeros(5_000)), np.zeros(3_000)) == 0.0


@given(values, values)
def test_the_index_is_a_number_and_never_negative(reference: list[float], recent: list[float]) -> None:
    found = index(described(np.array(reference)), np.array(recent))
    assert np.isfinite(found)
    assert found >= -1e-12


def test_a_shift_or_missing_values_raise_the_index_and_sampling_does_not() -> None:
    rng = np.random.default_rng(0)
    reference = described(rng.normal(size=50_000))
    recent = rng.normal(size=50_000)
    assert index(reference, recent) < 0.002
    assert index(reference, recent + 0.6) > 0.25
    gone = np.where(rng.random(50_000) < 0.3, np.nan, recent)
    assert index(reference, gone) > 0.25


DAY = dt.timedelta(days=1)
SPEC = CONFIG.drift
COMPARED = drift.COMPARED[:5]
"""Those that move, and two constant ones: the others would be constant too."""
MOVING, GROWING, RARE, *_ = COMPARED


@pytest.fixture(scope="module", autouse=True)
def _few_features() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as few:
        few.setattr(drift, "COMPARED", COMPARED)
        yield


class ScoredTraffic:
    """Days of rows scored by a champion: one feature, and the score, depend on the caller, one grows, one is rare."""

    def __init__(self, version: str = "v1") -> None:
        self.models, self.rows, self.ledger = MemoryBlobs(), MemoryBlobs(), MemoryLedger()
        self.models.write(POINTER, msgspec.json.encode(Pointer(version, NOW.isoformat())), 0)
        self.version = version
        for name in ("v1", "v2"):
            self.profile(name, {})

    def profile(self, version: str, features: dict[str, ColumnProfile]) -> None:
        """Store the profile of a version."""
        data = msgspec.json.encode(Profile(features, ColumnProfile(0.0, [], [])))
        manifest = msgspec.json.encode(Manifest(version, "", {"profile.json": digest(data)}))
        for name, each in (("profile.json", data), (MANIFEST, manifest)):
            known = self.models.read(path(version, name))
            self.models.write(path(version, name), each, known.generation if known else 0)

    def day(
        self, number: int, shift: float = 0.0, score: float = 9.0, rows: int = 2_000, share: float = 1.0
    ) -> Drift:
        """Measure the day `number` days after NOW."""
        rng = np.random.default_rng(number)
        table = {FEATURE_PREFIX + name: np.zeros(rows) for name in COMPARED}
        table[FEATURE_PREFIX + MOVING] = rng.normal(size=rows) + shift
        table[FEATURE_PREFIX + GROWING] = rng.uniform(0, 60, size=rows) + number
        table[FEATURE_PREFIX + RARE] = np.where(rng.random(rows) < 0.01, rng.normal(size=rows), np.nan)
        version = np.where(rng.random(rows) < share, self.version, "v0")
        exports = MemoryExports(
            pa.table({"model_version": version, "score": rng.beta(1, score, size=rows), **table}), parts=2
        )
        counts = {"row_count": rows, "with_history": rows, "degraded": rows // 10, "late": 0, "alerts": 1}
        until = NOW + number * DAY
        source = DriftSource(MemoryQueries(lambda *_: [counts]), exports, "p", "pix", until - DAY, until)
        return champion_drift(source, self.models, self.rows, SPEC)

    def lived(self, days: int = 40) -> list[Drift]:
        return [self.day(number) for number in range(days)]


@pytest.fixture(scope="module")
def lived() -> ScoredTraffic:
    traffic = ScoredTraffic()
    assert not any(found.drifted() for found in traffic.lived())
    return traffic


def test_quiet_days_are_quiet_although_a_counter_grows(lived: ScoredTraffic) -> None:
    found = lived.day(40)
    assert found.drifted() == {}
    assert found.limits[GROWING] < 0.5
    assert found.traffic.degraded == 0.1
    assert found.sampled == 2_000


def test_a_shift_beyond_the_habit_of_a_feature_comes_first_and_alerts_without_training(lived: ScoredTraffic) -> None:
    found = lived.day(41, shift=1.0)
    assert list(found.drifted()) == [MOVING]
    assert next(iter(found.psi)) == MOVING
    ledger, at = MemoryLedger(), NOW + 41 * DAY
    [alert] = record_drift(found, ledger, lambda: at, "me")
    [row] = ledger.stored
    assert (row.action, row.actor, row.reason, row.to_version) == ("FEATURE_DRIFT", "me", alert, "v1")
    assert (row.recorded_at, row.as_of) == (micros(at), micros(NOW + 41 * DAY))
    figures = msgspec.json.decode(row.metrics)
    assert figures[f"psi_{MOVING}"] == found.psi[MOVING]
    assert figures["degraded"] == 0.1
    assert record_drift(lived.day(42), ledger, lambda: at, "me") == []
    assert len(ledger.stored) == 1


def test_a_feature_that_the_champion_ignores_alerts_nobody(lived: ScoredTraffic) -> None:
    lived.profile(
        "v1", {MOVING: ColumnProfile(0.0, [], [9], [0.0, 0.0]), RARE: ColumnProfile(0.0, [], [9], [0.0, 0.1])}
    )
    found = lived.day(50, shift=-5.0)
    lived.profile("v1", {})
    assert found.psi[MOVING] > found.limits[MOVING]
    assert found.drifted() == {}
    assert MOVING in found.ignored
    assert RARE not in found.ignored


def test_a_score_far_from_the_first_days_of_the_champion_trains(lived: ScoredTraffic) -> None:
    found = lived.day(43, score=3.0)
    assert list(found.drifted()) == ["score"]
    ledger = MemoryLedger()
    record_drift(found, ledger, lambda: NOW, "me")
    assert [row.action for row in ledger.stored] == ["DRIFT"]


def test_a_score_that_creeps_away_from_the_first_days_is_found() -> None:
    traffic = ScoredTraffic()
    found = [traffic.day(number, score=9.0 - number / 12) for number in range(70)]
    assert not any("score" in one.drifted() for one in found[:28])
    assert "score" in found[-1].drifted()


def test_scores_of_another_version_are_not_compared() -> None:
    traffic = ScoredTraffic()
    traffic.day(0)
    assert "score" in traffic.day(1).psi
    assert "score" not in traffic.day(2, share=0.1).psi
    traffic.version = "v2"
    traffic.models.write(POINTER, msgspec.json.encode(Pointer("v2", NOW.isoformat())), 1)
    assert "score" not in traffic.day(3).psi
    assert "score" in traffic.day(4).psi


def test_an_unknown_habit_alerts_nobody() -> None:
    traffic = ScoredTraffic()
    found = [traffic.day(number) for number in range(SPEC.movements_min + 2)]
    assert found[0].psi == {}
    assert found[SPEC.movements_min].limits.keys() == {"score"}
    assert MOVING in found[-1].limits


def test_a_day_is_remembered_once_and_for_nine_weeks() -> None:
    traffic = ScoredTraffic()
    for number in (0, 0, 70, 71):
        traffic.day(number)
    windows = read_memory(traffic.rows, object_name(DAY)).windows
    assert [window.until for window in windows] == [NOW, NOW + 70 * DAY, NOW + 71 * DAY]  # its first days stay
    traffic.version = "v2"
    traffic.models.write(POINTER, msgspec.json.encode(Pointer("v2", NOW.isoformat())), 1)
    traffic.day(72)
    windows = read_memory(traffic.rows, object_name(DAY)).windows
    assert [window.until for window in windows] == [NOW + days * DAY for days in (70, 71, 72)]


def test_a_memory_that_cannot_be_read_begins_again() -> None:
    traffic = ScoredTraffic()
    traffic.rows.write(object_name(DAY), b"{", 0)
    traffic.day(0)
    assert len(read_memory(traffic.rows, object_name(DAY)).windows) == 1


def test_too_few_rows_or_no_model_are_nothing_to_do() -> None:
    with pytest.raises(NothingToDo, match=r"999 of 1,000"):
        ScoredTraffic().day(0, rows=999)
    traffic = ScoredTraffic()
    traffic.models.objects.clear()
    with pytest.raises(NothingToDo, match="no model serves"):
        traffic.day(0)
