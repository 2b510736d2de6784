"""The composition root of the outcome function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.asked import BigQueryAsked
from shared.contract.payload_hash import PayloadHash
from shared.contract.rows import OutcomeRow
from shared.serving.endings import Endings
from shared.serving.intake import Intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.serving.readiness import Readiness
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import (
    append_table,
    batch_limits,
    bigquery_client,
    endings,
    key_fingerprint,
    now,
    reached,
    shared_history,
    telemetry,
)

if TYPE_CHECKING:
    from shared.adapters.valkey.history import ValkeyHistory


def outcome_function(settings: Settings) -> Intake[OutcomeRow]:
    """Return the outcome function's intake. Needs a running event loop. Raises Misconfigured."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    outcomes = append_table(service, settings, "outcomes", metrics)
    quarantine = append_table(service, settings, "quarantine", metrics)
    history = shared_history(settings, "it knows of no outcome")
    counted, ends = _told(settings, history) if history else (None, None)
    pipeline = OutcomePipeline(
        counted,
        outcomes,
        now,
        settings.ahead_seconds,
        metrics,
        settings.behind_days,
        ends,
    )
    hashed = PayloadHash(settings.hmac_key.encode())
    readiness, measured = Readiness(reached(history), settings.start_seconds), telemetry(settings, metrics)
    return outcome_intake(pipeline, quarantine, hashed, now, batch_limits(settings), measured, readiness)


def _told(settings: Settings, history: ValkeyHistory) -> tuple[CountedOutcomes, Endings | None]:
    """Return the history in which outcomes are counted, and the publisher of the holds that they end."""
    client = bigquery_client(settings)
    place, key = (settings.project, settings.dataset), key_fingerprint(settings)
    scored = BigQueryAsked(client, *place, settings.lookup_seconds, key)
    return CountedOutcomes(history, scored), endings(settings, history, client)
