"""The part of the composition root that is about history: its store, its tables, its snapshots, and their repair."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

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
    endings,
    key_fingerprint,
    valkey_history,
)
from shared.wiring.common import now as current_micros

if TYPE_CHECKING:
    from shared.adapters.bigquery.lost import BigQueryLostPlaces
    from shared.adapters.bigquery.table import BigQueryTable
    from shared.adapters.valkey.history import ValkeyHistory
    from shared.adapters.valkey.store import ValkeyStore
    from shared.operations.filling import Filled, Filling
    from shared.operations.late import LateCounted, LateCounting, Telling
    from shared.operations.rotation import Rotation
    from shared.ports.history import HistoryStore
    from shared.ports.late import LatePeriod
    from shared.ports.places import UnplacedPeriod
    from shared.replay.repair import Repair
    from shared.replay.snapshots import Snapshots
    from shared.replay.tables import StoredTables
    from shared.serving.endings import Endings

FILLED_TABLES = ("fills", "outcomes", "late_outcomes", "feedback")
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


class Placed(NamedTuple):
    """The rows that found their places, and the late outcomes that were counted."""

    filled: Filled
    late: LateCounted


async def filled(
    settings: Settings, window: UnplacedPeriod, late: LatePeriod, limit: int, advance: Callable[[int], None]
) -> Placed:
    """Find the places that rows lack, then count late outcomes; of each, `limit` rows at most.

    See `shared.operations.filling.fill` and `shared.operations.late.count_late`. Raises Unavailable, Misconfigured.
    """
    from shared.operations.filling import fill
    from shared.operations.late import count_late

    if settings.state.startswith(f"{MEMORY}://"):
        raise Misconfigured("PIX_STATE is memory://, which no job can ask: name a store of history")
    async with _placing(settings) as (filling, counting):
        return Placed(await fill(filling, window, limit, advance), await count_late(counting, late, limit, advance))


class _Opened(NamedTuple):
    """History as the functions keep it, and as the jobs do that make lives again; and the tables by their names."""

    history: ValkeyHistory
    keeping: ValkeyHistory
    tables: dict[str, BigQueryTable]


@asynccontextmanager
async def _placing(settings: Settings) -> AsyncIterator[tuple[Filling, LateCounting]]:
    """Open the services of a filling and of a counting of late outcomes, which count as the functions do."""
    patient = replace(settings, state_call_seconds=STORE_SECONDS)
    longest = max(settings.state_claim_seconds, settings.state_message_days * DAY_SECONDS)
    service, metrics = WriteService.connect(settings.bigquery_storage_emulator_host), Metrics()
    tables = {name: append_table(service, settings, name, metrics) for name in FILLED_TABLES}
    keeping = valkey_history(replace(patient, state_claim_seconds=longest))
    opened = _Opened(valkey_history(patient), keeping, tables)
    lost = lost_places(settings).noted()
    for history in (opened.history, opened.keeping):
        history.know_lost(lost)
    try:
        yield _filling(settings, opened), _late_counting(settings, opened)
    finally:
        for history in (opened.history, opened.keeping):
            await history.close()
        for table in tables.values():
            await table.close()


def _filling(settings: Settings, opened: _Opened) -> Filling:
    from shared.adapters.bigquery.lookup import BigQueryLookup
    from shared.adapters.bigquery.unplaced import BigQueryUnplaced
    from shared.contract.pseudonyms import Pseudonymiser
    from shared.operations.filling import Filling
    from shared.scoring.conclusions import Conclusions
    from shared.serving.label_service import LabelPipeline
    from shared.serving.verdict_history import VerdictHistory

    place, key = (settings.project, settings.dataset), key_fingerprint(settings)
    lookup = BigQueryLookup(bigquery_client(settings), *place, settings.lookup_seconds, hmac_key=key)
    served = (current_micros, settings.ahead_seconds, Metrics())
    pseudonymiser, verdicts = Pseudonymiser(settings.hmac_key.encode()), VerdictHistory(lookup, opened.history)
    return Filling(
        BigQueryUnplaced(wiring.queries(settings), *place, key),
        opened.history,
        Conclusions(opened.history, settings.outcomes),
        opened.tables["fills"],
        _telling(settings, opened, None).tell,
        LabelPipeline(verdicts, opened.tables["feedback"], pseudonymiser, *served).store,
        current_micros,
    )


def _late_counting(settings: Settings, opened: _Opened) -> LateCounting:
    from shared.adapters.bigquery.late import BigQueryLate
    from shared.operations.late import LateCounting

    return LateCounting(
        BigQueryLate(wiring.queries(settings), settings.project, settings.dataset),
        _telling(settings, opened, endings(settings, opened.history)),
        opened.tables["late_outcomes"],
        opened.history,
        current_micros,
    )


def _telling(settings: Settings, opened: _Opened, ends: Endings | None) -> Telling:
    """Return the counting of outcomes whose Pix may be forgotten; `ends` announces the holds that they end."""
    from shared.adapters.bigquery.asked import BigQueryAsked
    from shared.operations.late import FormerLives, Telling
    from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline

    place, key = (settings.project, settings.dataset), key_fingerprint(settings)
    scored = BigQueryAsked(bigquery_client(settings), *place, STORE_SECONDS, key)
    counted = CountedOutcomes(opened.keeping, settings.state_claim_seconds, current_micros)
    served = (current_micros, settings.ahead_seconds, Metrics())
    pipeline = OutcomePipeline(counted, opened.tables["outcomes"], *served, endings=ends)
    return Telling(FormerLives(opened.keeping, scored), pipeline.store, opened.history)
