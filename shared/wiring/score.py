"""The composition root of the score function."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from shared.adapters.bigquery.append import WriteService
from shared.adapters.gcs import GcsBlobs
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.purse import MemoryPurse
from shared.contract.envelope import PubsubMessage
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import SuspicionRow
from shared.features.limits import limits_in_force
from shared.ports.decisions import DecisionLookup
from shared.ports.tables import Table
from shared.scoring.arms import AccountDraw
from shared.scoring.challenger import LiveChallenger
from shared.scoring.champion import STALE_TTLS, Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.control import Lottery
from shared.scoring.control_group import ControlGroup
from shared.scoring.control_switch import FRESH_SECONDS, ControlSwitch
from shared.scoring.guarded_history import GuardedHistory, ScoringHistory
from shared.scoring.purse import Purse
from shared.scoring.rules import Rules
from shared.scoring.scorer import Delivery, Scorer
from shared.scoring.suspected_accounts import SuspectedAccounts
from shared.serving.earlier import EarlierDecisions, OncePipeline
from shared.serving.intake import Intake
from shared.serving.readiness import Reach, Readiness
from shared.serving.score_service import ScorePipeline, score_intake
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import (
    DAY_SECONDS,
    MEMORY,
    announcer,
    append_table,
    batch_limits,
    bigquery_client,
    following,
    now,
    reached,
    stored_decisions,
    telemetry,
    valkey_history,
)
from shared.wiring.models import models

if TYPE_CHECKING:
    from google.cloud import bigquery

BUCKET_SECONDS = 3.0
"""Time that a cold start waits for the bucket; without a model, rules decide until the next look at the pointer."""


REMEMBERED = 0.5
"""The share of PIX_STATE_CLAIM_SECONDS for which history surely remembers a Pix, from the time of its initiation: the
clocks of the institution and of this instance differ by less than the rest."""


class Scoring(NamedTuple):
    """The intake of Pix, its decoding of a message, the decisions that history has forgotten, and their metrics."""

    intake: Intake[Delivery]
    decode: Callable[[PubsubMessage], Delivery]
    earlier: EarlierDecisions
    metrics: Metrics


def score_function(settings: Settings) -> Intake[Delivery]:
    """Return the score function's intake, with its model loaded. Needs a running event loop. Raises Misconfigured."""
    return scoring(settings, cache(partial(stored_decisions, settings))).intake


def scoring(settings: Settings, stored: Callable[[], DecisionLookup]) -> Scoring:
    """Return the parts that score, with their model loaded; `stored` connects to the decisions in BigQuery.

    Needs a running event loop. Raises Misconfigured.
    """
    limits_in_force()  # an unreadable file stops the start, not the first batch
    metrics = Metrics()
    blobs = models(settings, GcsBlobs.connect(settings.project, settings.bucket, BUCKET_SECONDS))
    ttl = settings.pointer_ttl_seconds
    switch = ControlSwitch(blobs, time.monotonic, max(STALE_TTLS * ttl, FRESH_SECONDS))
    champion = Champion(blobs, ttl, time.monotonic, metrics, switch.look)
    champion.look()
    stores = Stores.of(settings)
    guarded = GuardedHistory(stores.history, settings.state_pause_seconds, metrics, time.monotonic)
    scorer = Scorer(
        guarded,
        Conclusions(guarded, settings.outcomes),
        champion,
        Rules.load(),
        now,
        settings.deadline_seconds,
        settings.hmac_key_version,
        metrics,
        LiveChallenger(champion, AccountDraw(settings.hmac_key.encode()), metrics, time.monotonic),
    )
    service = WriteService.connect(settings.bigquery_storage_emulator_host)
    control = ControlGroup(switch, stores.purse, Lottery(settings.hmac_key.encode()), now, metrics)
    pipeline = _pipeline(settings, scorer, append_table(service, settings, "score_events", metrics), control, metrics)
    remembered = REMEMBERED * settings.state_claim_seconds
    earlier = EarlierDecisions(stored, now, remembered, settings.hmac_key_version)
    once = OncePipeline(pipeline, guarded, earlier)
    quarantine = append_table(service, settings, "quarantine", metrics)
    hashed = PayloadHash(settings.hmac_key.encode())
    readiness = Readiness({"bucket": champion.reach, **stores.reach}, settings.start_seconds)
    measured = telemetry(settings, metrics)
    intake = score_intake(once, quarantine, hashed, now, batch_limits(settings), measured, readiness)
    return Scoring(intake, once.decode, earlier, metrics)


def _pipeline(
    settings: Settings, scorer: Scorer, score_events: Table, control: ControlGroup, metrics: Metrics
) -> ScorePipeline:
    read = partial(_register, settings, cache(partial(bigquery_client, settings)))
    return ScorePipeline(
        scorer,
        score_events,
        Pseudonymiser(settings.hmac_key.encode()),
        now,
        settings.ahead_seconds,
        metrics,
        settings.behind_days,
        control,
        announcer(settings),
        following(settings),
        SuspectedAccounts(read, time.monotonic, metrics),
    )


def _register(settings: Settings, client: Callable[[], bigquery.Client]) -> list[SuspicionRow]:
    """Return the rows of the suspicions in force. Raises Unavailable, Misconfigured."""
    from shared.adapters.bigquery.query import BigQueryQueries
    from shared.adapters.bigquery.suspicions import NAME, rows_in_force

    queries = BigQueryQueries(client(), settings.lookup_seconds)
    return rows_in_force(queries, f"{settings.project}.{settings.dataset}.{NAME}", dt.datetime.now(dt.UTC))


class Stores(NamedTuple):
    """The stores of PIX_STATE: history, and the purse of the control group; and how to reach the server, if any."""

    history: ScoringHistory
    purse: Purse
    reach: Mapping[str, Reach]

    @classmethod
    def of(cls, settings: Settings) -> Stores:
        """Return the stores of a server, or those of `memory://`, or `memory:///path` to start from a dump.

        Raises Misconfigured.
        """
        scheme, _, location = settings.state.partition("://")
        if scheme == MEMORY:
            return cls(MemoryHistoryAdapter.load(location) if location else MemoryHistoryAdapter(), MemoryPurse(), {})
        from shared.adapters.valkey.purse import ValkeyPurse

        shared = valkey_history(settings)
        return cls(shared, ValkeyPurse(shared.store, settings.state_message_days * DAY_SECONDS), reached(shared))
