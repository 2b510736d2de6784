"""Shared parts of the functions' composition roots, the only places where the serving core meets its adapters.

Each function has a root of its own (`shared.wiring.score`, `shared.wiring.label`), which imports only the libraries
that this function is deployed with.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.pseudonyms import Pseudonymiser, fingerprint_of
from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.ports.decisions import Callers, DecisionLookup, DecisionPublisher
from shared.ports.messages import MetricsExporter
from shared.serving.announcing import Announcer
from shared.serving.endings import Endings
from shared.serving.group_commit import BatchLimits
from shared.serving.readiness import Reach
from shared.settings import NOTHING, PLATFORM, Settings
from shared.telemetry.batches import BatchLog, MetricsExport, Telemetry
from shared.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from google.cloud import bigquery

    from shared.adapters.valkey.history import ValkeyHistory

log = logging.getLogger(__name__)

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
        key_fingerprint(settings) or "",
    )


def key_fingerprint(settings: Settings) -> str | None:
    """Return the fingerprint of the HMAC key in force, None where no key is set."""
    return fingerprint_of(settings.hmac_key.encode()) if settings.hmac_key else None


def following(settings: Settings) -> Pseudonymiser | None:
    """Return the pseudonymiser of the next HMAC key, None if there is none."""
    return Pseudonymiser(settings.hmac_key_next.encode()) if settings.hmac_key_next else None


def shared_history(settings: Settings, missed: str) -> ValkeyHistory | None:
    """Return the history that the score function shares; None, and a warning of the `missed` part, if not."""
    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so %s: PIX_STATE is memory://", missed)
        return None
    return valkey_history(settings)


def reached(history: ValkeyHistory | None) -> dict[str, Reach]:
    """Return how to reach the store of a shared history, by its name at the start of an instance."""
    return {"history": history.store.reach} if history else {}


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


def announcer(settings: Settings) -> Announcer | None:
    """Return the publisher of decisions, None if the settings want none. Raises Misconfigured, Unavailable."""
    if settings.publish_decisions == NOTHING:
        return None
    return Announcer(decision_topic(settings), settings.publish_decisions)


def endings(settings: Settings, history: ValkeyHistory, client: bigquery.Client | None = None) -> Endings | None:
    """Return the publisher of the ends of holds, None if nothing is published; `client` is as in `stored_decisions`.

    Raises Misconfigured, Unavailable.
    """
    if settings.publish_decisions == NOTHING:
        return None
    return Endings(history, stored_decisions(settings, client), decision_topic(settings))


def stored_decisions(settings: Settings, client: bigquery.Client | None = None) -> DecisionLookup:
    """Return the lookup of stored decisions, by a client of its own if there is none yet.

    Raises Misconfigured, Unavailable.
    """
    from shared.adapters.bigquery.decisions import BigQueryDecisions

    client = client or bigquery_client(settings)
    return BigQueryDecisions(client, settings.project, settings.dataset, settings.lookup_seconds)


def decision_topic(settings: Settings) -> DecisionPublisher:
    """Return the topic of decisions; it needs a running event loop. Raises Misconfigured, Unavailable."""
    from shared.adapters.pubsub.publish import PubsubDecisions
    from shared.adapters.pubsub.wire import PublisherService

    return PubsubDecisions(PublisherService.connect(settings.pubsub_emulator_host), settings.project)


def callers(settings: Settings) -> Callers | None:
    """Return those who may call a function, None if the platform verifies them or the cloud is a local one.

    Raises Misconfigured where nobody would.
    """
    if settings.oidc_audience:
        from shared.adapters.google_oidc import GoogleCallers, certificates

        accounts = [each.strip() for each in settings.oidc_accounts.split(",")]
        return GoogleCallers(settings.oidc_audience, accounts, certificates)
    if settings.oidc_by == PLATFORM or settings.has_emulator:
        return None
    raise Misconfigured(
        "set PIX_OIDC_AUDIENCE and PIX_OIDC_ACCOUNTS, or PIX_OIDC_BY=platform where Cloud Run verifies callers by IAM"
    )


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
