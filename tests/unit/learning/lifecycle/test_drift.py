"""The population stability index, and drift of the champion's inputs."""

from __future__ import annotations

import datetime as dt

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
from shared.errors import BundleRefused
from shared.learning.data.profile import ColumnProfile, Profile, describe, reference_profile
from shared.learning.errors import NothingToDo
from shared.learning.lifecycle.drift import (
    Drift,
    DriftSource,
    champion_drift,
    comparable,
    measure,
    record_drift,
    stability_index,
)
from shared.scoring.bundle import POINTER, Pointer, path

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
values = st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


def described(column: np.ndarray) -> ColumnProfile:
    return msgspec.convert(describe(column), ColumnProfile, strict=False)


@given(values)
def test_the_reference_itself_has_not_drifted(reference: list[float]) -> None:
    column = np.array(reference)
    assert stability_index(described(column), column) < 1e-9


def test_a_constant_column_has_not_drifted() -> None:
    assert stability_index(described(np.zeros(5_000)), np.zeros(3_000)) == 0.0


@given(values, values)
def test_the_index_is_a_number_and_never_negative(reference: list[float], recent: list[float]) -> None:
    index = stability_index(described(np.array(reference)), np.array(recent))
    assert np.isfinite(index)
    assert index >= -1e-12


def test_a_shift_or_missing_values_raise_the_index_and_sampling_does_not() -> None:
    rng = np.random.default_rng(0)
    reference = described(rng.normal(size=50_000))
    recent = rng.normal(size=50_000)
    assert stability_index(reference, recent) < 0.002
    assert stability_index(reference, recent + 0.6) > 0.25
    gone = np.where(rng.random(50_000) < 0.3, np.nan, recent)
    assert stability_index(reference, gone) > 0.25


def test_features_that_differ_between_any_two_periods_are_not_compared() -> None:
    one = ColumnProfile(0.0, [1.0], [5, 5])
    names = ("amount", "hour", "weekday", "night", "payer_since_first", "payer_since_sent")
    assert list(comparable(Profile(dict.fromkeys(names, one), one)).features) == ["amount", "payer_since_sent"]


class ScoredTraffic:
    """A champion with two inputs, and recent rows that it scored."""

    def __init__(self, rows: int = 4_000, shift: float = 0.0, by_champion: float = 1.0) -> None:
        rng = np.random.default_rng(1)
        features, score = rng.normal(size=(10_000, 2)), rng.beta(1, 9, size=10_000)
        profile = {
            "features": {name: describe(features[:, j]) for j, name in enumerate(("a", "b"))},
            "score": describe(score),
        }
        self.blobs = MemoryBlobs()
        self.blobs.write(path("v1", "profile.json"), msgspec.json.encode(profile), 0)
        self.table = pa.table(
            {
                "model_version": np.where(rng.random(rows) < by_champion, "v1", "v0"),
                "score": rng.beta(1, 9, size=rows),
                FEATURE_PREFIX + "a": rng.normal(size=rows),
                FEATURE_PREFIX + "b": rng.normal(size=rows) + shift,
            }
        )
        self.counts = {"row_count": rows, "with_history": rows, "degraded": rows // 10, "late": 0, "alerts": 1}

    def source(self) -> DriftSource:
        queries = MemoryQueries(lambda *_: [self.counts])
        return DriftSource(queries, MemoryExports(self.table, parts=2), "p", "pix", NOW - dt.timedelta(days=1), NOW)

    def measure(self) -> Drift:
        return measure(self.source(), self.blobs, "v1")


def test_a_shifted_feature_comes_first() -> None:
    assert ScoredTraffic().measure().above(0.25) == {}
    found = ScoredTraffic(shift=1.0).measure()
    assert list(found.above(0.25)) == ["b"]
    assert next(iter(found.psi)) == "b"
    assert found.traffic.degraded == 0.1
    assert found.sampled == 4_000


def test_scores_of_another_version_are_not_compared() -> None:
    assert "score" in ScoredTraffic().measure().psi
    assert "score" not in ScoredTraffic(by_champion=0.1).measure().psi


def test_scores_that_differ_by_rounding_from_an_edge_have_not_drifted() -> None:
    scored = ScoredTraffic()
    tied = np.full(4_000, 0.03125)
    profile = {"features": {}, "score": describe(tied)}
    scored.blobs.objects.clear()
    scored.blobs.write(path("v1", "profile.json"), msgspec.json.encode(profile), 0)
    scored.table = scored.table.set_column(1, "score", pa.array(tied * (1 + 1e-7)))
    assert scored.measure().psi["score"] < 0.001


def test_drift_is_measured_against_the_version_that_serves() -> None:
    scored = ScoredTraffic()
    with pytest.raises(NothingToDo, match="no model serves"):
        champion_drift(scored.source(), scored.blobs)
    scored.blobs.write(POINTER, msgspec.json.encode(Pointer("v1", NOW.isoformat())), 0)
    assert champion_drift(scored.source(), scored.blobs).version == "v1"


def test_an_alert_is_recorded_with_its_figures_and_the_end_of_the_period() -> None:
    ledger, at = MemoryLedger(), NOW + dt.timedelta(hours=1)
    assert record_drift(ScoredTraffic().measure(), 0.25, ledger, lambda: at, "me") == ""
    assert ledger.stored == []
    drift = ScoredTraffic(shift=1.0).measure()
    alert = record_drift(drift, 0.25, ledger, lambda: at, "me")
    [row] = ledger.stored
    assert (row.action, row.actor, row.reason, row.to_version) == ("DRIFT", "me", alert, "v1")
    assert (row.recorded_at, row.as_of) == (micros(at), micros(NOW))
    figures = msgspec.json.decode(row.metrics)
    assert figures["psi_b"] == drift.psi["b"]
    assert figures["degraded"] == 0.1


def test_too_few_rows_are_nothing_to_do() -> None:
    scored = ScoredTraffic()
    scored.counts["with_history"] = 999
    with pytest.raises(NothingToDo, match=r"999 of 1,000"):
        scored.measure()


def test_a_champion_without_a_profile_is_refused() -> None:
    scored = ScoredTraffic()
    scored.blobs.objects.clear()
    with pytest.raises(BundleRefused):
        scored.measure()


def test_a_counter_that_rises_has_drifted_and_one_that_fades_has_not() -> None:
    rng = np.random.default_rng(0)
    count = np.where(rng.random(4_000) < 0.8, 0.0, rng.integers(1, 9, 4_000))
    faded = np.column_stack([count + 2.0 ** -rng.uniform(20, 60, 4_000)])
    for rise, drifted in ((0.0, False), (1.0, True)):
        scored = ScoredTraffic()
        profile = reference_profile(faded.astype(np.float32), ["a"], np.full(4_000, 0.5))
        scored.blobs.write(path("v1", "profile.json"), msgspec.json.encode(profile), 1)
        scored.table = scored.table.set_column(2, FEATURE_PREFIX + "a", pa.array(count + 2.0**-90 + rise))
        assert ("a" in scored.measure().above(0.25)) is drifted
