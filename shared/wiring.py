"""The composition root of the functions: the only place where the serving core meets its adapters."""

from __future__ import annotations

import time

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteAsyncClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcAsyncIOTransport

from shared.adapters.bigquery_write import BigQueryTable
from shared.contract.rows import FeedbackRow
from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.ports import History
from shared.privacy import Pseudonymiser
from shared.scoring.champion import Champion
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.intake import Intake
from shared.serving.label_service import label_intake
from shared.serving.score_service import score_intake
from shared.settings import Settings


def score_function(settings: Settings) -> Intake[Delivery]:
    """Return the score function's intake, warm: model loaded, history ready. Needs a running event loop."""
    from shared.adapters.gcs import GcsBlobs  # the label function is deployed without google-cloud-storage

    champion = Champion(
        GcsBlobs.connect(settings.project, settings.bucket), settings.pointer_ttl_seconds, time.monotonic
    )
    champion.look()
    scorer = Scorer(
        history(settings.state),
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
    )


def history(state: str) -> History:
    """Return the history that `state` names: `memory://`, or `memory:///path` to start from a dump."""
    from shared.adapters.memory_history import MemoryHistoryAdapter

    scheme, _, location = state.partition("://")
    if scheme != "memory":
        raise Misconfigured("PIX_STATE names no state store that is known (memory://)")
    return MemoryHistoryAdapter.load(location) if location else MemoryHistoryAdapter()


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
