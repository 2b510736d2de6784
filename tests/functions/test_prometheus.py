"""Faults of a running function become alerts of a real Prometheus."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from infra.local.cloud import LocalCloud
from infra.local.provision import create_buckets
from shared.adapters.gcs import GcsBlobs
from shared.scoring.bundle import POINTER, Pointer
from tests.builders import encoded, push_body, transaction
from tests.functions.instance import Start
from tests.functions.world import deliver
from tests.prometheus import Prometheus, scraping
from tests.waiting import until

BUCKET = "models-that-are-missing"
NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    with scraping(tmp_path / "prometheus") as running:
        yield running


def test_a_refused_model_late_pix_and_broken_messages_raise_their_alerts_and_no_others(
    cloud: LocalCloud, prometheus: Prometheus, started: Start
) -> None:
    create_buckets(cloud.settings.project, (BUCKET,))
    pointer = msgspec.json.encode(Pointer(version="gone", swapped_at=NOW.isoformat()))
    GcsBlobs.connect(cloud.settings.project, BUCKET).write(POINTER, pointer, 0)
    score = started(
        OTEL_EXPORTER_OTLP_ENDPOINT=prometheus.collector,
        OTEL_METRIC_EXPORT_INTERVAL="100",
        OTEL_SERVICE_NAME="pix-score",
        PIX_BUCKET=BUCKET,
    )

    # The Pix of these tests are days old.
    expected = {"PixLate": "critical", "PixModelRefused": "critical", "PixQuarantine": "error"}

    def sent(body: bytes) -> None:
        assert deliver(score.address, [push_body(body), push_body(encoded(transaction()))]) == [204, 204]

    def raised() -> bool:
        sent(b"this is not JSON")
        return set(expected) <= {*prometheus.firing()}

    sent(encoded(transaction()))
    until(lambda: prometheus.series('pix_scored_total{job="pix-score"}'))
    until(raised)
    firing = prometheus.firing()
    assert {name: labels["severity"] for name, labels in firing.items()} == expected
    assert firing["PixModelRefused"]["job"] == "pix-score"
    (rule,) = [
        each
        for group in prometheus.get("rules")["groups"]
        for each in group["rules"]
        if each["name"] == "PixModelRefused"
    ]
    assert rule["health"] == "ok"
    assert rule["annotations"]["runbook"] == "infra/README.md#roll-back-a-model"
    assert {each["health"] for group in prometheus.get("rules")["groups"] for each in group["rules"]} == {"ok"}
