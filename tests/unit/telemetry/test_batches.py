"""Metrics: what is recorded is what a collector gets, as OpenTelemetry has it."""

import asyncio
import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.serving import MemoryExporter
from shared.adapters.otel import GOOGLE, OtlpExporter
from shared.errors import Unavailable
from shared.serving.group_commit import CompletedBatch
from shared.telemetry.batches import BatchLog, MetricsExport
from shared.telemetry.incidents import QUIET_SECONDS
from shared.telemetry.metrics import BATCH, LATE, METRICS, MODEL, QUARANTINED, SECONDS, STAGE, Metrics
from tests.collector import collecting
from tests.told import make_telemetry

values = st.lists(st.floats(0, 60) | st.sampled_from(SECONDS), min_size=1, max_size=300)


@given(values)
def test_many_at_once_are_as_one_by_one(seconds):
    one_by_one, at_once = Metrics(), Metrics()
    for value in seconds:
        one_by_one.record(STAGE, value, "total")
    at_once.record_all(STAGE, seconds, "total")
    first, second = one_by_one.distribution(STAGE, "total"), at_once.distribution(STAGE, "total")
    assert (first.counts, first.least, first.most) == (second.counts, second.least, second.most)
    assert first.sum == pytest.approx(second.sum)
    assert first.count == len(seconds)


def test_a_bucket_holds_its_upper_bound():
    metrics = Metrics()
    metrics.record_all(BATCH, [1, 2, 3, 4, 5, 2000])
    assert metrics.distribution(BATCH).counts == [1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_snapshot_does_not_change_any_more():
    metrics = Metrics()
    metrics.record(STAGE, 0.1, "model")
    (series,) = metrics.snapshot()
    metrics.record(STAGE, 0.1, "model")
    assert series.value.count == 1


def test_names_are_unique_and_labels_are_as_google_takes_them():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(metric.name.replace(".", "").replace("_", "").isalpha() for metric in METRICS)
    assert all((metric.kind == "histogram") == bool(metric.bounds) for metric in METRICS)


@pytest.fixture
def collector():
    with collecting() as running:
        yield running


def test_a_collector_gets_counters_gauges_and_histograms_since_the_start(collector):
    metrics = Metrics()
    exporter = OtlpExporter(collector.url + "/", "bank", "score", "score-00001")
    for _ in range(2):
        metrics.add(QUARANTINED, 2, "too_large")
        metrics.add(QUARANTINED, 1, "not_json")
        metrics.add(LATE)
        metrics.set(MODEL, 1, "v7")
        metrics.record_all(STAGE, [0.0004, 0.003, 40.0], "total")
        exporter.export(metrics.snapshot())
    assert len(collector.requests) == 2
    assert collector.numbers("pix.quarantined") == {"too_large": 4, "not_json": 2}
    assert collector.numbers("pix.late") == {"": 2}
    assert collector.numbers("pix.model.serving") == {"v7": 1}
    late, stage = collector.metrics()["pix.late"], collector.metrics()["pix.stage.duration"]
    assert (late.sum.is_monotonic, late.sum.aggregation_temporality, stage.unit) == (True, 2, "s")
    (point,) = stage.histogram.data_points
    assert (point.attributes[0].key, point.attributes[0].value.string_value) == ("stage", "total")
    assert (point.count, point.min, point.max) == (6, 0.0004, 40.0)
    assert point.sum == pytest.approx(2 * 40.0034)
    assert dict(enumerate(point.bucket_counts)).items() >= {0: 2, 3: 2, len(SECONDS): 2}.items()
    assert tuple(point.explicit_bounds) == SECONDS
    assert point.start_time_unix_nano < point.time_unix_nano <= time.time_ns()


def test_each_instance_has_its_own_id_and_attributes_of_the_environment(collector, monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "cloud.region=southamerica-east1,service.version=9")
    metrics, instances = Metrics(), set()
    metrics.add(LATE)
    for _ in range(2):
        OtlpExporter(collector.url, "bank", "score", "score-00001").export(metrics.snapshot())
        resource = collector.resource()
        instances.add(resource.pop("service.instance.id"))
        assert resource == {
            "service.name": "score",
            "service.version": "9",
            "gcp.project_id": "bank",
            "cloud.region": "southamerica-east1",
        }
    assert len(instances) == 2


def test_a_collector_that_refuses_is_unavailable(collector):
    collector.status = 400
    metrics = Metrics()
    metrics.add(LATE)
    with pytest.raises(Unavailable):
        OtlpExporter(collector.url, "bank", "score", "").export(metrics.snapshot())


def test_googles_endpoint_needs_credentials(monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
    with pytest.raises(Unavailable, match="DefaultCredentialsError"):
        OtlpExporter(f"https://{GOOGLE}", "bank", "score", "").export(Metrics().snapshot())


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_an_export_happens_between_batches_once_the_interval_has_passed():
    async def scenario():
        clock, metrics, exporter = Clock(), Metrics(), MemoryExporter()
        exports = MetricsExport(metrics, exporter, 60.0, clock)
        counts = []
        for seconds in (0, 59, 1, 0, 30, 30):
            clock.now += seconds
            metrics.add(LATE)
            for _ in range(5):
                exports.if_due()
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
            counts.append(len(exporter.exports))
        await exports.flush()
        return counts, [series[0].value for series in exporter.exports]

    assert asyncio.run(scenario()) == ([0, 0, 1, 1, 1, 2], [3, 6, 6])


def test_an_unavailable_collector_is_an_incident_and_fails_no_batch(caplog):
    async def scenario():
        clock, exporter = Clock(), MemoryExporter()
        exporter.away = True
        exports = MetricsExport(Metrics(), exporter, 60.0, clock)
        for _ in range(5):
            await exports.flush()
        exporter.away = False
        clock.now += QUIET_SECONDS
        await exports.flush()

    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records] == [
        "metrics not exported",
        "metrics not exported: over",
    ]


def test_without_a_collector_nothing_is_exported():
    telemetry = make_telemetry(None)
    asyncio.run(telemetry.flush())
    telemetry.record(CompletedBatch(0, [0.001]))
    assert telemetry.metrics.distribution(BATCH).count == 1


def test_batches_within_a_second_share_a_line_with_their_counts(caplog):
    caplog.set_level(logging.INFO)
    clock, metrics = Clock(), Metrics()
    log = BatchLog(metrics, 1.0, clock)
    for _ in range(100):
        metrics.add(LATE, 2)
        log.add(CompletedBatch(0, [0.001, 0.002]))
        clock.now += 0.125
    log.flush()
    log.flush()
    fields = [record.fields for record in caplog.records]
    assert len(fields) == 14
    assert fields[0] == {"batches": 1, "messages": 2, "slowest_ms": 2.0, "late": 2}
    assert fields[1] == {"batches": 8, "messages": 16, "slowest_ms": 2.0, "late": 16}
    assert (sum(each["batches"] for each in fields), sum(each["late"] for each in fields)) == (100, 200)


def test_where_nothing_is_shared_each_batch_has_its_line(caplog):
    caplog.set_level(logging.INFO)
    log = BatchLog(Metrics(), 0.0, Clock())
    for _ in range(3):
        log.add(CompletedBatch(0, [0.5]))
    assert [record.fields["slowest_ms"] for record in caplog.records] == [500.0] * 3
