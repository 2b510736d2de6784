"""The composition root of the label function."""

from __future__ import annotations

import logging

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.lookup import BigQueryLookup
from shared.contract.rows import FeedbackRow
from shared.serving.intake import Intake
from shared.serving.label_service import SharedHistory, label_intake
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import MEMORY, bigquery_client, limits, now, opened, telemetry, valkey_history

log = logging.getLogger(__name__)


def label_function(settings: Settings) -> Intake[FeedbackRow]:
    """Return the label function's intake. Needs a running event loop."""
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    return label_intake(
        opened(service, settings, "feedback", metrics),
        opened(service, settings, "quarantine", metrics),
        now,
        limits(settings),
        settings.ahead_seconds,
        telemetry(settings, metrics),
        _shared_history(settings),
    )


def _shared_history(settings: Settings) -> SharedHistory | None:
    """Return what the label function tells; None if the score function keeps history to itself."""
    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so it is not told of reports: PIX_STATE is memory://")
        return None
    lookup = BigQueryLookup(bigquery_client(settings), settings.project, settings.dataset, settings.lookup_seconds)
    return SharedHistory(lookup, valkey_history(settings))
