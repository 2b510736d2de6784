"""Counters, gauges and distributions, and their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.metrics import BATCH, METRICS, SECONDS, STAGE, Distribution, Metrics

values = st.lists(st.floats(0, 60) | st.sampled_from(SECONDS), min_size=1, max_size=300)


@given(values)
def test_recording_many_values_at_once_equals_one_by_one(seconds: list[float]) -> None:
    one_by_one, at_once = Metrics(), Metrics()
    for value in seconds:
        one_by_one.record(STAGE, value, "total")
    at_once.record_all(STAGE, seconds, "total")
    first, second = one_by_one.distribution(STAGE, "total"), at_once.distribution(STAGE, "total")
    assert (first.counts, first.least, first.most) == (second.counts, second.least, second.most)
    assert first.sum == pytest.approx(second.sum)
    assert first.count == len(seconds)


def test_a_bucket_holds_its_upper_bound() -> None:
    metrics = Metrics()
    metrics.record_all(BATCH, [1, 2, 3, 4, 5, 2000])
    assert metrics.distribution(BATCH).counts == [1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_snapshot_does_not_change_later() -> None:
    metrics = Metrics()
    metrics.record(STAGE, 0.1, "model")
    (series,) = metrics.snapshot()
    metrics.record(STAGE, 0.1, "model")
    assert isinstance(series.value, Distribution)
    assert series.value.count == 1


def test_names_are_unique_and_labels_are_as_google_takes_them() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(metric.name.replace(".", "").replace("_", "").isalpha() for metric in METRICS)
    assert all((metric.kind == "histogram") == bool(metric.bounds) for metric in METRICS)
