"""Exports between batches, and log lines of batches."""

import asyncio
import logging

import pytest

from shared.adapters.memory.serving import MemoryExporter
from shared.telemetry.batches import BatchLog, CompletedBatch, MetricsExport
from shared.telemetry.incidents import QUIET_SECONDS
from shared.telemetry.metrics import BATCH, LATE, Distribution, Metrics
from tests.telemetry import make_telemetry
from tests.unit.clocks import ManualClock
from tests.unit.log_records import fields


def test_an_export_happens_between_batches_once_the_interval_has_passed() -> None:
    async def scenario() -> tuple[list[int], list[float | Distribution]]:
        clock, metrics, exporter = ManualClock(), Metrics(), MemoryExporter()
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


def test_an_unavailable_collector_is_an_incident_and_fails_no_batch(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        clock, exporter = ManualClock(), MemoryExporter()
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


def test_without_a_collector_nothing_is_exported() -> None:
    telemetry = make_telemetry(None)
    asyncio.run(telemetry.flush())
    telemetry.record(CompletedBatch(0, [0.001]))
    assert telemetry.metrics.distribution(BATCH).count == 1


def test_batches_within_a_second_share_a_line_with_their_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock, metrics = ManualClock(), Metrics()
    log = BatchLog(metrics, 1.0, clock)
    for _ in range(100):
        metrics.add(LATE, 2)
        log.add(CompletedBatch(0, [0.001, 0.002]))
        clock.now += 0.125
    log.flush()
    log.flush()
    logged = [fields(record) for record in caplog.records]
    assert len(logged) == 14
    assert logged[0] == {"batches": 1, "messages": 2, "slowest_ms": 2.0, "late": 2}
    assert logged[1] == {"batches": 8, "messages": 16, "slowest_ms": 2.0, "late": 16}
    assert (sum(each["batches"] for each in logged), sum(each["late"] for each in logged)) == (100, 200)


def test_where_nothing_is_shared_each_batch_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = BatchLog(Metrics(), 0.0, ManualClock())
    for _ in range(3):
        log.add(CompletedBatch(0, [0.5]))
    assert [fields(record)["slowest_ms"] for record in caplog.records] == [500.0] * 3
