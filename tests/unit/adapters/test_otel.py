"""Metrics reach a collector of OpenTelemetry."""

import time
from collections.abc import Iterator

import pytest

from shared.adapters.otel import GOOGLE, OtlpExporter
from shared.errors import Unavailable
from shared.telemetry.metrics import LATE, MODEL, QUARANTINED, SECONDS, STAGE, Metrics
from tests.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def test_a_collector_gets_counters_gauges_and_histograms_since_the_start(collector: Collector) -> None:
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


def test_each_instance_has_its_own_id_and_attributes_of_the_environment(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "cloud.region=southamerica-east1,service.version=9")
    metrics, instances = Metrics(), set()
    metrics.add(LATE)
    for _ in range(2):
        OtlpExporter(collector.url, "bank", "score", "score-00001").export(metrics.snapshot())
        resource = collector.resource()
        instances.add(instance := resource.pop("service.instance.id"))
        assert instance.startswith("score-00001/"), "by which a deployment tells revisions apart"
        assert resource == {
            "service.name": "score",
            "service.version": "9",
            "gcp.project_id": "bank",
            "cloud.region": "southamerica-east1",
        }
    assert len(instances) == 2


def test_a_collector_that_refuses_is_unavailable(collector: Collector) -> None:
    collector.status = 400
    metrics = Metrics()
    metrics.add(LATE)
    with pytest.raises(Unavailable):
        OtlpExporter(collector.url, "bank", "score", "").export(metrics.snapshot())


def test_googles_endpoint_needs_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
    with pytest.raises(Unavailable, match="DefaultCredentialsError"):
        OtlpExporter(f"https://{GOOGLE}", "bank", "score", "").export(Metrics().snapshot())
