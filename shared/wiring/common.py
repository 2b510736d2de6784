"""Shared parts of the functions' composition roots, the only places where the serving core meets its adapters.

Each function has a root of its own (`shared.wiring.score`, `shared.wiring.label`), which imports only the libraries
that this function is deployed with.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.tables import table
from shared.ports import MetricsExporter
from shared.serving.group_commit import BatchLimits
from shared.settings import Settings
from shared.telemetry.batches import BatchLog, MetricsExport, Telemetry
from shared.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from google.cloud import bigquery

    from shared.adapters.valkey.history import ValkeyHistory

MEMORY = "memory"
DAY_SECONDS = 86_400


def valkey_history(settings: Settings) -> ValkeyHistory:
    """Return the history in a Valkey or Redis server, which processes share. Raises Misconfigured."""
    from shared.adapters.valkey.history import ValkeyHistory
    from shared.adapters.valkey.wire import Keeping

    return ValkeyHistory.connect(
        settings.state,
        settings.state_connect_seconds,
        settings.state_call_seconds,
        Keeping(
            settings.state_message_days * DAY_SECONDS,
            settings.state_claim_seconds,
            settings.state_record_days * DAY_SECONDS,
        ),
        settings.state_shards,
    )


def now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


def bigquery_client(settings: Settings) -> bigquery.Client:
    """Return a BigQuery client, without credentials if the settings name an emulator.

    The client itself finds the emulator by BIGQUERY_EMULATOR_HOST, the variable of the same setting. Raises
    Misconfigured, Unavailable for credentials.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    from shared.adapters.google_failures import credentials_needed

    credentials = AnonymousCredentials() if settings.bigquery_emulator_host else None
    with credentials_needed():
        return bigquery.Client(project=settings.project, credentials=credentials)


def append_table(service: WriteService, settings: Settings, name: str, metrics: Metrics) -> BigQueryTable:
    """Return the table `name`, to append to."""
    timeout = settings.append_timeout_seconds
    return BigQueryTable(service, settings.project, settings.dataset, table(name), timeout, metrics)


def batch_limits(settings: Settings) -> BatchLimits:
    """Return the limits of a function's batches."""
    return BatchLimits(
        settings.batch_max,
        settings.batches_in_flight,
        settings.queue_max,
        settings.queue_seconds,
        settings.batch_linger_seconds,
        settings.batch_enough,
    )


def telemetry(settings: Settings, metrics: Metrics) -> Telemetry:
    """Return the telemetry of batches: to the log, and to a collector if the settings name one."""
    exporter: MetricsExporter | None = None
    if settings.otel_exporter_otlp_endpoint:
        from shared.adapters.otel import OtlpExporter

        exporter = OtlpExporter(
            settings.otel_exporter_otlp_endpoint, settings.project, settings.service, settings.revision
        )
    interval = settings.otel_metric_export_interval / 1e3
    return Telemetry(
        metrics,
        BatchLog(metrics, settings.log_seconds, time.monotonic),
        MetricsExport(metrics, exporter, interval, time.monotonic),
    )
