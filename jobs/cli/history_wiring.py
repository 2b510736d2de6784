"""The part of the composition root that is about history: its store, its tables, its snapshots, and their repair."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.cli import wiring
from shared.adapters.bigquery.append import WriteService
from shared.errors import Misconfigured
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import (
    DAY_SECONDS,
    MEMORY,
    append_table,
    bigquery_client,
    key_fingerprint,
    valkey_history,
)
from shared.wiring.common import now as current_micros

if TYPE_CHECKING:
    from shared.adapters.bigquery.lost import BigQueryLostPlaces
    from shared.adapters.valkey.store import ValkeyStore
    from shared.operations.filling import Filled, Filling
    from shared.operations.rotation import Rotation
    from shared.ports import HistoryStore, UnplacedPeriod
    from shared.replay.repair import Repair
    from shared.replay.snapshots import Snapshots
    from shared.replay.tables import StoredTables

LOST_PLACES = "lost_places"
STORE_SECONDS = 30.0
"""Seconds that a job waits for a call of the store of history; nobody waits for the job."""


def history_store(settings: Settings, url: str) -> ValkeyStore:
    """Return the store of history at `url`."""
    from shared.adapters.valkey.store import ValkeyStore

    seconds, key = settings.state_record_days * DAY_SECONDS, key_fingerprint(settings) or ""
    return ValkeyStore.connect(url, seconds, settings.state_shards, key)


def stored_tables(settings: Settings) -> list[StoredTables]:
    """Return the tables to replay, as each shard of history counted their rows, under the HMAC key in force."""
    from shared.replay.tables import StoredTables

    place, key = (settings.project, settings.dataset), key_fingerprint(settings)
    return StoredTables.each(wiring.exports(settings), *place, settings.state_shards, key)


def next_tables(settings: Settings) -> list[StoredTables]:
    """Return the tables to replay under the next HMAC key, none if there is none."""
    key = settings.hmac_key_next
    return stored_tables(replace(settings, hmac_key=key, hmac_key_next="")) if key else []


def rotation(settings: Settings) -> Rotation:
    """Return the rows whose key changes."""
    from shared.operations.rotation import Rotation

    return Rotation(wiring.queries(settings), f"{settings.project}.{settings.dataset}")


def snapshots(settings: Settings) -> Snapshots:
    """Return the snapshots of history."""
    from shared.replay.snapshots import Snapshots

    bucket = wiring.data(settings)
    return Snapshots(bucket, bucket)


def lost_places(settings: Settings) -> BigQueryLostPlaces:
    """Return the places that the store of history has lost."""
    from shared.adapters.bigquery.lost import BigQueryLostPlaces

    place = (settings.project, settings.dataset)
    return BigQueryLostPlaces(
        wiring.queries(settings), *place, lambda: wiring.appended(settings, LOST_PLACES), wiring.now
    )


def repair(settings: Settings, store: HistoryStore, wait: Callable[[], None]) -> Repair:
    """Return the repair of a store; `wait` until the rows on their way are stored."""
    from shared.replay.repair import Repair

    lost, claim_seconds = lost_places(settings), settings.state_claim_seconds
    return Repair(store, stored_tables(settings), snapshots(settings), lost, wiring.now, wait, claim_seconds)


async def filled(settings: Settings, window: UnplacedPeriod, limit: int, advance: Callable[[int], None]) -> Filled:
    """Find the places that rows lack; see `shared.operations.filling.fill`. Raises Unavailable, Misconfigured."""
    from shared.operations.filling import fill

    if settings.state.startswith(f"{MEMORY}://"):
        raise Misconfigured("PIX_STATE is memory://, which no job can ask: name a store of history")
    async with _filling(settings) as filling:
        return await fill(filling, window, limit, advance)


@asynccontextmanager
async def _filling(settings: Settings) -> AsyncIterator[Filling]:
    """Open the services of a filling; it counts outcomes and reports as their functions do."""
    from shared.adapters.bigquery.asked import BigQueryAsked
    from shared.adapters.bigquery.lookup import BigQueryLookup
    from shared.adapters.bigquery.unplaced import BigQueryUnplaced
    from shared.contract.pseudonyms import Pseudonymiser
    from shared.operations.filling import Filling
    from shared.scoring.conclusions import Conclusions
    from shared.serving.label_service import LabelPipeline
    from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline
    from shared.serving.verdict_history import VerdictHistory

    place, client, metrics = (settings.project, settings.dataset), bigquery_client(settings), Metrics()
    history = valkey_history(replace(settings, state_call_seconds=STORE_SECONDS))
    history.know_lost(lost_places(settings).noted())
    service = WriteService.connect(settings.bigquery_storage_emulator_host)
    fills, outcomes, feedback = (
        append_table(service, settings, name, metrics) for name in ("fills", "outcomes", "feedback")
    )
    key, seconds = key_fingerprint(settings), settings.lookup_seconds
    told = CountedOutcomes(history, BigQueryAsked(client, *place, seconds, key))
    stated = VerdictHistory(BigQueryLookup(client, *place, seconds, hmac_key=key), history)
    served = (current_micros, settings.ahead_seconds, metrics)
    try:
        yield Filling(
            BigQueryUnplaced(wiring.queries(settings), *place, key),
            history,
            Conclusions(history, settings.outcomes),
            fills,
            OutcomePipeline(told, outcomes, *served).store,
            LabelPipeline(stated, feedback, Pseudonymiser(settings.hmac_key.encode()), *served).store,
            current_micros,
        )
    finally:
        for each in (history, fills, outcomes, feedback):
            await each.close()
