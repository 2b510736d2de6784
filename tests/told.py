"""What a function is told by, for tests: metrics that they can look at, and a log that stays quiet."""

from __future__ import annotations

import time

from shared.ports import MetricsExporter
from shared.telemetry.batches import BatchLog, MetricsExport, Telemetry
from shared.telemetry.metrics import Metrics


def telling(exporter: MetricsExporter | None = None, seconds: float = 0.0) -> Telemetry:
    """Return a telling with metrics of its own; each batch is logged, and exported where there is an exporter."""
    metrics = Metrics()
    exports = MetricsExport(metrics, exporter, seconds, time.monotonic)
    return Telemetry(metrics, BatchLog(metrics, seconds, time.monotonic), exports)
