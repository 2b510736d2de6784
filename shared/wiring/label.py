"""The composition root of the label function."""

from __future__ import annotations

import logging

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.lookup import BigQueryLookup
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow
from shared.serving.intake import Intake
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.verdict_history import VerdictHistory
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import MEMORY, append_table, batch_limits, bigquery_client, now, telemetry, valkey_history

log = logging.getLogger(__name__)


def label_function(settings: Settings) -> Intake[FeedbackRow]:
    """Return the label function's intake. Needs a running event loop. Raises Misconfigured."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    feedback = append_table(service, settings, "feedback", metrics)
    quarantine = append_table(service, settings, "quarantine", metrics)
    pseudonymiser = Pseudonymiser(settings.hmac_key.encode())
    pipeline = LabelPipeline(
        _shared_history(settings),
        feedback,
        pseudonymiser,
        now,
        settings.ahead_seconds,
        metrics,
        settings.behind_days,
    )
    hashed = PayloadHash(settings.hmac_key.encode())
    return label_intake(pipeline, quarantine, hashed, now, batch_limits(settings), telemetry(settings, metrics))


def _shared_history(settings: Settings) -> VerdictHistory | None:
    """Return the history in which verdicts are counted; None if the score function does not share its own."""
    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so it is not told of reports: PIX_STATE is memory://")
        return None
    lookup = BigQueryLookup(bigquery_client(settings), settings.project, settings.dataset, settings.lookup_seconds)
    return VerdictHistory(lookup, valkey_history(settings))
