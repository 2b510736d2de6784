"""The composition root of the functions: the only place where the serving core meets its adapters."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteAsyncClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcAsyncIOTransport

from shared.adapters.bigquery_write import BigQueryTable
from shared.contract.rows import FeedbackRow
from shared.contract.tables import table
from shared.ports import History
from shared.privacy import Pseudonymiser
from shared.scoring.champion import Champion
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.intake import Intake
from shared.serving.label_service import SharedHistory, label_intake
from shared.serving.score_service import score_intake
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.valkey_history import ValkeyHistory

log = logging.getLogger(__name__)

MEMORY = "memory"
DAY_SECONDS = 86_400


def score_function(settings: Settings) -> Intake[Delivery]:
    """Return the score function's intake, warm: model loaded, history ready. Needs a running event loop."""
    from shared.adapters.gcs import GcsBlobs  # the label function is deployed without google-cloud-storage

    champion = Champion(
        GcsBlobs.connect(settings.project, settings.bucket), settings.pointer_ttl_seconds, time.monotonic
    )
    champion.look()
    scorer = Scorer(
        history(settings),
        champion,
        Rules.load(),
        now,
        settings.deadline_seconds,
        settings.hmac_key_version,
    )
    client = write_client(settings)
    return score_intake(
        scorer,
        _table(client, settings, "score_events"),
        _table(client, settings, "quarantine"),
        Pseudonymiser(settings.hmac_key.encode()),
        now,
        settings.batch_max,
        settings.batches_in_flight,
        settings.ahead_seconds,
    )


def label_function(settings: Settings) -> Intake[FeedbackRow]:
    """Return the label function's intake. Needs a running event loop."""
    client = write_client(settings)
    return label_intake(
        _table(client, settings, "feedback"),
        _table(client, settings, "quarantine"),
        now,
        settings.batch_max,
        settings.batches_in_flight,
        settings.ahead_seconds,
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
    from google.cloud import bigquery

    from shared.adapters.bigquery_lookup import BigQueryLookup

    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so it is not told of reports: PIX_STATE is memory://")
        return None
    credentials = AnonymousCredentials() if settings.bigquery_storage_emulator_host else None
    client = bigquery.Client(project=settings.project, credentials=credentials)
    lookup = BigQueryLookup(client, settings.project, settings.dataset, settings.append_timeout_seconds)
    return SharedHistory(lookup, valkey_history(settings))


def write_client(settings: Settings) -> BigQueryWriteAsyncClient:
    """Return a client of the Storage Write API, of the emulator if the settings name one."""
    emulator = settings.bigquery_storage_emulator_host
    if not emulator:
        return BigQueryWriteAsyncClient()
    transport = BigQueryWriteGrpcAsyncIOTransport(
        channel=grpc.aio.insecure_channel(emulator), credentials=AnonymousCredentials()
    )
    return BigQueryWriteAsyncClient(transport=transport)


def now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


def _table(client: BigQueryWriteAsyncClient, settings: Settings, name: str) -> BigQueryTable:
    return BigQueryTable(client, settings.project, settings.dataset, table(name), settings.append_timeout_seconds)
