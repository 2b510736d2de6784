"""The composition root of the outcome function."""

from __future__ import annotations

import logging

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.asked import BigQueryAsked
from shared.contract.payload_hash import PayloadHash
from shared.contract.rows import OutcomeRow
from shared.serving.intake import Intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import MEMORY, append_table, batch_limits, bigquery_client, now, telemetry, valkey_history

log = logging.getLogger(__name__)


def outcome_function(settings: Settings) -> Intake[OutcomeRow]:
    """Return the outcome function's intake. Needs a running event loop. Raises Misconfigured."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    outcomes = append_table(service, settings, "outcomes", metrics)
    quarantine = append_table(service, settings, "quarantine", metrics)
    pipeline = OutcomePipeline(
        _counted(settings), outcomes, now, settings.ahead_seconds, metrics, settings.behind_days
    )
    hashed = PayloadHash(settings.hmac_key.encode())
    return outcome_intake(pipeline, quarantine, hashed, now, batch_limits(settings), telemetry(settings, metrics))


def _counted(settings: Settings) -> CountedOutcomes | None:
    """Return the history in which outcomes are counted; None if the score function does not share its own."""
    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so it knows of no outcome: PIX_STATE is memory://")
        return None
    scored = BigQueryAsked(bigquery_client(settings), settings.project, settings.dataset, settings.lookup_seconds)
    return CountedOutcomes(valkey_history(settings), scored)
