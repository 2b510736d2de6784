"""The composition root of the functions: the only place where the serving core meets its adapters."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from shared.adapters.append_rows import WriteService
from shared.adapters.bigquery_write import BigQueryTable
from shared.contract.rows import FeedbackRow
from shared.contract.tables import table
from shared.metrics import Metrics
from shared.ports import History, MetricsExporter
from shared.privacy import Pseudonymiser
from shared.scoring.champion import Champion
from shared.scoring.guarded_history import GuardedHistory
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.group_commit import Limits
from shared.serving.intake import Intake
from shared.serving.label_service import SharedHistory, label_intake
from shared.serving.score_service import score_intake
from shared.serving.telling import BatchLog, Exports, Telling
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.valkey_history import ValkeyHistory

log = logging.getLogger(__name__)

MEMORY = "memory"
DAY_SECONDS = 86_400


def score_function(settings: Settings) -> Intake[Delivery]:
    """Return the score function's intake, warm: model loaded, history ready. Needs a running event loop."""
    from shared.adapters.gcs import GcsBlobs  # the label function is deployed without google-cloud-storage

    metrics = Metrics()
    champion = Champion(
        GcsBlobs.connect(settings.project, settings.bucket), settings.pointer_ttl_seconds, time.monotonic, metrics
    )
    champion.look()
    scorer = Scorer(
        GuardedHistory(history(settings), settings.state_pause_seconds, metrics, time.monotonic),
        champion,
        Rules.load(),
        now,
        settings.deadline_seconds,
        settings.hmac_key_version,
        metrics,
    )
    service = WriteService.connect(settings.bigquery_storage_emulator_host)
    return score_intake(
        scorer,
        _table(service, settings, "score_events", metrics),
        _table(service, settings, "quarantine", metrics),
        Pseudonymiser(settings.hmac_key.encode()),
        now,
        _limits(settings),
        settings.ahead_seconds,
        _telling(settings, metrics),
    )


def label_function(settings: Settings) -> Intake[FeedbackRow]:
    """Return the label function's intake. Needs a running event loop."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    return label_intake(
        _table(service, settings, "feedback", metrics),
        _table(service, settings, "quarantine", metrics),
        now,
        _limits(settings),
        settings.ahead_seconds,
        _telling(settings, metrics),
        _shared_history(settings),
    )


def history(settings: Settings) -> History:
    """Return the history that PIX_STATE names: a store, or `memory://`, or `memory:///path` to start from a dump."""
    from shared.adapters.memory_history import MemoryHistoryAdapter

    scheme, _, location = settings.state.partition("://")
    if scheme != MEMORY:
        return valkey_history(settings)
    return MemoryHistoryAdapter.load(location) if location else MemoryHistoryAdapter()


def valkey_history(settings: Settings) -> ValkeyHistory:
    """Return the history in a store that several processes share. Raises Misconfigured."""
    from shared.adapters.valkey_history import ValkeyHistory

    return ValkeyHistory.connect(
        settings.state,
        settings.state_connect_seconds,
        settings.state_call_seconds,
        settings.state_claim_seconds,
        settings.state_record_days * DAY_SECONDS,
    )


def _shared_history(settings: Settings) -> SharedHistory | None:
    """Return what the label function tells; None if the score function keeps history to itself."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    from shared.adapters.bigquery_lookup import BigQueryLookup

    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so it is not told of reports: PIX_STATE is memory://")
        return None
    credentials = AnonymousCredentials() if settings.bigquery_storage_emulator_host else None
    client = bigquery.Client(project=settings.project, credentials=credentials)
    lookup = BigQueryLookup(client, settings.project, settings.dataset, settings.append_timeout_seconds)
    return SharedHistory(lookup, valkey_history(settings))


def now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


def _table(service: WriteService, settings: Settings, name: str, metrics: Metrics) -> BigQueryTable:
    timeout = settings.append_timeout_seconds
    return BigQueryTable(service, settings.project, settings.dataset, table(name), timeout, metrics)


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.batch_max,
        settings.batches_in_flight,
        settings.queue_max,
        settings.queue_seconds,
        settings.batch_beside,
    )


def _telling(settings: Settings, metrics: Metrics) -> Telling:
    """Return what is told, and to whom: a log, and a collector if the settings name one."""
    exporter: MetricsExporter | None = None
    if settings.otel_exporter_otlp_endpoint:
        from shared.adapters.otel_metrics import OtlpExporter

        exporter = OtlpExporter(
            settings.otel_exporter_otlp_endpoint, settings.project, settings.service, settings.revision
        )
    interval = settings.otel_metric_export_interval / 1e3
    return Telling(
        metrics,
        BatchLog(metrics, settings.log_seconds, time.monotonic),
        Exports(metrics, exporter, interval, time.monotonic),
    )
