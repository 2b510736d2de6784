"""Telemetry of batches: durations and sizes, lines in the log, and a periodic export of metrics.

A function has a processor only while it answers requests, so there is no thread or timer here: each batch checks
whether an export is due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from shared.errors import Unavailable
from shared.ports.messages import MetricsExporter
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import BATCH, QUEUE, STAGE, Metrics

log = logging.getLogger(__name__)


class CompletedBatch(NamedTuple):
    """A batch whose items all have their results."""

    waiting: int
    """Items that were left in the queue when the batch started."""
    seconds: list[float]
    """Seconds from the submission of each item to its result."""


class BatchLog:
    """Log a line for each batch; batches within `seconds` of a line share the next one.

    At 10,000 transactions/s there are hundreds of batches a second, too many for a line each. A line holds the
    increase of each counter since the line before.
    """

    def __init__(self, metrics: Metrics, seconds: float, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._clock = clock
        self._at = -float("inf")
        self._batches, self._messages, self._slowest = 0, 0, 0.0
        self._before = metrics.counters()

    def add(self, batch: CompletedBatch) -> None:
        """Add a batch, and log if the last line is old enough."""
        self._batches += 1
        self._messages += len(batch.seconds)
        self._slowest = max(self._slowest, max(batch.seconds))
        if self._clock() - self._at >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Log the batches since the last line, if there are any."""
        if not self._batches:
            return
        fields = {"batches": self._batches, "messages": self._messages, "slowest_ms": round(1e3 * self._slowest, 1)}
        log.info("served", extra={"fields": fields | self._gained()})
        self._at = self._clock()
        self._batches, self._messages, self._slowest = 0, 0, 0.0

    def _gained(self) -> dict[str, float]:
        before, self._before = self._before, self._metrics.counters()
        return {name: gain for name, value in self._before.items() if (gain := value - before.get(name, 0))}


class MetricsExport:
    """Export the metrics every `interval` seconds, in a thread beside the batches; no exporter means never."""

    def __init__(
        self, metrics: Metrics, exporter: MetricsExporter | None, interval: float, clock: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._exporter = exporter
        self._interval = interval
        self._clock = clock
        self._at = clock()
        self._task: asyncio.Task[None] | None = None
        self._incident = Incident(log, "metrics not exported", clock)

    def if_due(self) -> None:
        """Start an export if the last one is older than the interval and none is running."""
        if self._exporter and self._task is None and self._clock() - self._at >= self._interval:
            self._task = asyncio.create_task(self._aside(self._exporter))

    async def flush(self) -> None:
        """Export now, after any export that is running."""
        if self._task:
            await self._task
        if self._exporter:
            await self._export(self._exporter)

    async def _aside(self, exporter: MetricsExporter) -> None:
        try:
            await self._export(exporter)
        finally:
            self._task = None

    async def _export(self, exporter: MetricsExporter) -> None:
        self._at = self._clock()
        try:
            await asyncio.to_thread(exporter.export, self._metrics.snapshot())
        except Unavailable as error:
            self._incident.trigger(reason=str(error))
        else:
            self._incident.resolve()


class Telemetry:
    """Telemetry of one batch: size, durations and a log line; metrics are exported when they are due."""

    def __init__(self, metrics: Metrics, batch_log: BatchLog, exports: MetricsExport) -> None:
        self.metrics = metrics
        self._batch_log = batch_log
        self._exports = exports

    def record(self, batch: CompletedBatch) -> None:
        """Record one batch, log it and start an export if one is due."""
        self.metrics.record(BATCH, len(batch.seconds))
        self.metrics.record(QUEUE, batch.waiting)
        self.metrics.record_all(STAGE, batch.seconds, "total")
        self._batch_log.add(batch)
        self._exports.if_due()

    async def flush(self) -> None:
        """Log and export everything that is pending."""
        self._batch_log.flush()
        await self._exports.flush()
