"""A Prometheus takes the metrics that the functions' exporter sends, under the names that rules and dashboard use."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.errors import LocalCloudError
from infra.local.prometheus.collector import FORGOTTEN_SECONDS, Latest, collector
from infra.local.prometheus.launch import prometheus_server
from infra.monitoring.files import FOLDER
from infra.monitoring.names import prometheus_name
from shared.adapters.otel import OtlpExporter
from shared.errors import Unavailable
from shared.telemetry.metrics import LATE, METRICS, MODEL_CREATED, QUARANTINED, STAGE, Metric, Metrics
from tests.collector import collecting
from tests.prometheus import Prometheus, scraping
from tests.waiting import until


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def use(metrics: Metrics, metric: Metric) -> None:
    """Give a metric a value under a label that needs no escape, and under one that does."""
    for label in ("full", 'a "b"\\\n') if metric.label else ("",):
        if metric.kind == "histogram":
            metrics.record(metric, 0.3, label)
        elif metric.kind == "gauge":
            metrics.set(metric, time.time(), label)
        else:
            metrics.add(metric, 1, label)


def exporter(address: str, service: str = "pix-score") -> OtlpExporter:
    return OtlpExporter(address, "bank", service, f"{service}-00001")


def exported() -> bytes:
    """Return an export of one instance as the SDK encodes it."""
    metrics = Metrics()
    metrics.add(LATE, 2)
    with collecting() as kept:
        exporter(kept.url).export(metrics.snapshot())
        return bytes(kept.requests[-1].SerializeToString())


def test_every_panel_of_grafana_draws_what_the_exporter_sends(prometheus: Prometheus) -> None:
    metrics, sender = Metrics(), exporter(prometheus.collector)
    panels = json.loads((FOLDER / "grafana" / "pix.json").read_text("utf-8"))["panels"]
    queries = {panel["title"]: panel["targets"][0]["expr"] for panel in panels if panel["type"] == "timeseries"}
    queries.pop("Alerts that fire")

    def empty() -> list[str]:
        for metric in METRICS:
            use(metrics, metric)
        sender.export(metrics.snapshot())
        return [title for title, query in queries.items() if not prometheus.series(query)]

    until(lambda: not empty())
    for metric in METRICS:
        name = prometheus_name(metric) + ("_bucket" if metric.kind == "histogram" else "")
        found = prometheus.series(name)
        assert {(each["job"], each["instance"][:16]) for each in found} == {("pix-score", "pix-score-00001/")}
        own = {each.get(metric.label, "") for each in found}
        assert own == ({"full", 'a "b"\\\n'} if metric.label else {""})
    names = {name for name in prometheus.get("label/__name__/values") if name.startswith("pix_")}
    assert len(names) == len(METRICS) + 2 * sum(metric.kind == "histogram" for metric in METRICS)


def test_values_arrive_whole(prometheus: Prometheus) -> None:
    metrics, sender = Metrics(), exporter(prometheus.collector, "pix-values")
    metrics.set(MODEL_CREATED, 1_790_000_000.25)
    metrics.add(QUARANTINED, 3, "not_json")
    metrics.record_all(STAGE, [0.0005, 0.003, 40.0], "total")
    sender.export(metrics.snapshot())

    def values(query: str) -> dict[str, float]:
        found = prometheus.get("query", query=query)["result"]
        return {each["metric"].get("le", ""): float(each["value"][1]) for each in found}

    until(lambda: values('pix_model_created_seconds{job="pix-values"}'))
    assert values('pix_model_created_seconds{job="pix-values"}') == {"": 1_790_000_000.25}
    assert values('pix_quarantined_total{job="pix-values"}') == {"": 3}
    buckets = values('pix_stage_duration_seconds_bucket{job="pix-values"}')
    assert (buckets["0.0005"], buckets["0.002"], buckets["0.005"], buckets["30.0"], buckets["+Inf"]) == (
        1,
        1,
        2,
        2,
        3,
    )
    assert values('pix_stage_duration_seconds_count{job="pix-values"}') == {"": 3}
    assert values('pix_stage_duration_seconds_sum{job="pix-values"}')[""] == pytest.approx(40.0035)


def test_an_instance_that_exports_no_more_is_forgotten() -> None:
    now = [0.0]
    latest = Latest(lambda: now[0])
    latest.take(exported())
    now[0] = FORGOTTEN_SECONDS - 1
    latest.take(exported())
    assert latest.page().count("pix_late_total{") == 2
    now[0] = FORGOTTEN_SECONDS + 1
    assert latest.page().count("pix_late_total{") == 1
    assert latest.page().count("# TYPE pix_late_total counter") == 1


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"\xff\xff", ""), (b"not gzip", "gzip"), (gzip.compress(exported())[:-9], "gzip")]
)
def test_a_body_that_is_no_export_is_refused_and_changes_nothing(body: bytes, encoding: str) -> None:
    with collector() as address:
        answer = httpx.post(f"{address}/v1/metrics", content=body, headers={"content-encoding": encoding})
        assert answer.status_code == 400
        assert httpx.get(f"{address}/metrics").text == ""
        assert httpx.get(f"{address}/").status_code == 404
        with pytest.raises(Unavailable):
            exporter(f"{address}/elsewhere").export(Metrics().snapshot())


def test_without_prometheus_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalCloudError, match="apt install prometheus"):
        prometheus_server(tmp_path, "http://127.0.0.1:1")
