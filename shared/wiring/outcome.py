"""The composition root of the outcome function."""

from __future__ import annotations

from shared.adapters.bigquery.append import WriteService
from shared.contract.payload_hash import PayloadHash
from shared.contract.rows import OutcomeRow
from shared.serving.intake import Intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.serving.readiness import Readiness
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import (
    append_table,
    batch_limits,
    endings,
    now,
    reached,
    shared_history,
    telemetry,
)


def outcome_function(settings: Settings) -> Intake[OutcomeRow]:
    """Return the outcome function's intake. Needs a running event loop. Raises Misconfigured."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    outcomes = append_table(service, settings, "outcomes", metrics)
    quarantine = append_table(service, settings, "quarantine", metrics)
    history = shared_history(settings, "it knows of no outcome")
    pipeline = OutcomePipeline(
        CountedOutcomes(history, settings.state_claim_seconds, now) if history else None,
        outcomes,
        now,
        settings.ahead_seconds,
        metrics,
        settings.behind_days,
        endings(settings, history) if history else None,
        append_table(service, settings, "late_outcomes", metrics),
    )
    hashed = PayloadHash(settings.hmac_key.encode())
    readiness, measured = Readiness(reached(history), settings.start_seconds), telemetry(settings, metrics)
    return outcome_intake(pipeline, quarantine, hashed, now, batch_limits(settings), measured, readiness)
