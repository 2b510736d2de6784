"""The composition root of the score function."""

from __future__ import annotations

import time

from shared.adapters.bigquery.append import WriteService
from shared.adapters.gcs import GcsBlobs
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.features.limits import limits_in_force
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.guarded_history import GuardedHistory, ScoringHistory
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.intake import Intake
from shared.serving.score_service import ScorePipeline, score_intake
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import MEMORY, append_table, batch_limits, now, telemetry, valkey_history

BUCKET_SECONDS = 3.0
"""Time that a cold start waits for the bucket; without a model, rules decide until the next look at the pointer."""


def score_function(settings: Settings) -> Intake[Delivery]:
    """Return the score function's intake, with its model loaded. Needs a running event loop. Raises Misconfigured."""
    limits_in_force()  # an unreadable file stops the start, not the first batch
    metrics = Metrics()
    blobs = GcsBlobs.connect(settings.project, settings.bucket, BUCKET_SECONDS)
    champion = Champion(blobs, settings.pointer_ttl_seconds, time.monotonic, metrics)
    champion.look()
    guarded = GuardedHistory(history(settings), settings.state_pause_seconds, metrics, time.monotonic)
    scorer = Scorer(
        guarded,
        Conclusions(guarded, settings.outcomes),
        champion,
        Rules.load(),
        now,
        settings.deadline_seconds,
        settings.hmac_key_version,
        metrics,
    )
    service = WriteService.connect(settings.bigquery_storage_emulator_host)
    pipeline = ScorePipeline(
        scorer,
        append_table(service, settings, "score_events", metrics),
        Pseudonymiser(settings.hmac_key.encode()),
        now,
        settings.ahead_seconds,
        metrics,
        settings.behind_days,
    )
    quarantine = append_table(service, settings, "quarantine", metrics)
    hashed = PayloadHash(settings.hmac_key.encode())
    return score_intake(pipeline, quarantine, hashed, now, batch_limits(settings), telemetry(settings, metrics))


def history(settings: Settings) -> ScoringHistory:
    """Return the history of PIX_STATE: a store, `memory://`, or `memory:///path` to start from a dump.

    Raises Misconfigured.
    """
    scheme, _, location = settings.state.partition("://")
    if scheme != MEMORY:
        return valkey_history(settings)
    return MemoryHistoryAdapter.load(location) if location else MemoryHistoryAdapter()
