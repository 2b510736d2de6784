"""The composition root of the score function."""

from __future__ import annotations

import time

from shared.adapters.bigquery.append import WriteService
from shared.adapters.gcs import GcsBlobs
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.pseudonyms import Pseudonymiser
from shared.features.limits import limits_in_force
from shared.ports import History
from shared.scoring.champion import Champion
from shared.scoring.guarded_history import GuardedHistory
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.intake import Intake
from shared.serving.score_service import score_intake
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import MEMORY, limits, now, opened, telemetry, valkey_history

BUCKET_SECONDS = 3.0
"""How long a start waits for a bucket that does not answer; without a model, rules decide until the next look."""


def score_function(settings: Settings) -> Intake[Delivery]:
    """Return the score function's intake, warm: model loaded, history ready. Needs a running event loop."""
    limits_in_force()  # a file that cannot be read stops the start, not the first batch
    metrics = Metrics()
    blobs = GcsBlobs.connect(settings.project, settings.bucket, BUCKET_SECONDS)
    champion = Champion(blobs, settings.pointer_ttl_seconds, time.monotonic, metrics)
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
        opened(service, settings, "score_events", metrics),
        opened(service, settings, "quarantine", metrics),
        Pseudonymiser(settings.hmac_key.encode()),
        now,
        limits(settings),
        settings.ahead_seconds,
        telemetry(settings, metrics),
    )


def history(settings: Settings) -> History:
    """Return the history that PIX_STATE names: a store, or `memory://`, or `memory:///path` to start from a dump."""
    scheme, _, location = settings.state.partition("://")
    if scheme != MEMORY:
        return valkey_history(settings)
    return MemoryHistoryAdapter.load(location) if location else MemoryHistoryAdapter()
