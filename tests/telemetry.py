"""Telemetry for tests: metrics that they can read, and a log without a quiet period."""

from __future__ import annotations

import time

from shared.ports.messages import MetricsExporter
from shared.telemetry.batches import BatchLog, MetricsExport, Telemetry
from shared.telemetry.metrics import Metrics


def make_telemetry(exporter: MetricsExporter | None = None, seconds: float = 0.0) -> Telemetry:
    """Return telemetry with metrics of its own; it logs each batch, and exports it if there is an exporter."""
    metrics = Metrics()
    exports = MetricsExport(metrics, exporter, seconds, time.monotonic)
    return Telemetry(metrics, BatchLog(metrics, seconds, time.monotonic), exports)
