"""The composition root of the label function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.lookup import BigQueryLookup
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow
from shared.serving.endings import Endings
from shared.serving.intake import Intake
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.readiness import Readiness
from shared.serving.verdict_history import VerdictHistory
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import (
    append_table,
    batch_limits,
    bigquery_client,
    endings,
    following,
    key_fingerprint,
    now,
    reached,
    shared_history,
    telemetry,
)

if TYPE_CHECKING:
    from shared.adapters.valkey.history import ValkeyHistory


def label_function(settings: Settings) -> Intake[FeedbackRow]:
    """Return the label function's intake. Needs a running event loop. Raises Misconfigured."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    feedback = append_table(service, settings, "feedback", metrics)
    quarantine = append_table(service, settings, "quarantine", metrics)
    pseudonymiser = Pseudonymiser(settings.hmac_key.encode())
    history = shared_history(settings, "it is not told of reports")
    counted, ends = _told(settings, history) if history else (None, None)
    pipeline = LabelPipeline(
        counted,
        feedback,
        pseudonymiser,
        now,
        settings.ahead_seconds,
        metrics,
        settings.behind_days,
        ends,
        following(settings),
    )
    hashed = PayloadHash(settings.hmac_key.encode())
    readiness, measured = Readiness(reached(history), settings.start_seconds), telemetry(settings, metrics)
    return label_intake(pipeline, quarantine, hashed, now, batch_limits(settings), measured, readiness)


def _told(settings: Settings, history: ValkeyHistory) -> tuple[VerdictHistory, Endings | None]:
    """Return the history in which verdicts are counted, and the publisher of the holds that they end."""
    client = bigquery_client(settings)
    place, key = (settings.project, settings.dataset), key_fingerprint(settings)
    lookup = BigQueryLookup(client, *place, settings.lookup_seconds, hmac_key=key)
    return VerdictHistory(lookup, history), endings(settings, history, client)
