"""The composition root of the jobs: the only place where they meet the environment and the adapters."""

from __future__ import annotations

import datetime as dt
import getpass
import sqlite3
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.cli.user import settle_user
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.gcs import GcsBlobs
from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.learning.lifecycle.control import ControlCommands
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import DAY_SECONDS, MEMORY, append_table, bigquery_client, valkey_history
from shared.wiring.common import now as current_micros

if TYPE_CHECKING:
    from shared.adapters.bigquery.ledger import BigQueryLedger
    from shared.adapters.bigquery.load import BulkLoad
    from shared.adapters.bigquery.lost import BigQueryLostPlaces
    from shared.adapters.bigquery.query import BigQueryExports, BigQueryQueries
    from shared.adapters.mlflow.tracking import MlflowRegistry
    from shared.adapters.pubsub.dead_letters import PubsubDeadLetters
    from shared.adapters.valkey.store import ValkeyStore
    from shared.learning.lifecycle.drift import DriftSource
    from shared.learning.lifecycle.retire import Retiring
    from shared.learning.lifecycle.retraining import Services
    from shared.operations.filling import Filled, Filling
    from shared.ports import HistoryStore, Window
    from shared.replay.repair import Repair
    from shared.replay.snapshots import Snapshots
    from shared.replay.tables import StoredTables

LEDGER, LOST_PLACES = "model_ledger", "lost_places"
SQLITE = "sqlite:///"
STORE_SECONDS = 30.0
"""Seconds that a job waits for a call of the store of history; nobody waits for the job."""


def prepare(environment: MutableMapping[str, str]) -> None:
    """Set environment variables that libraries read at import.

    Passive waiting: OpenMP threads that spin made boosting seven times slower beside one other busy process.
    """
    settle_user(environment)
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    environment.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def actor(settings: Settings) -> str:
    """Return the actor for the ledger: the Cloud Run execution, or the user."""
    return settings.execution or getpass.getuser()


def now() -> dt.datetime:
    """Return the current time in UTC."""
    return dt.datetime.now(dt.UTC)


def services(settings: Settings) -> Services:
    """Return the services of a retraining."""
    from jobs.cli.provenance import provenance
    from shared.adapters.mlflow.tracking import MlflowRegistry, MlflowRuns
    from shared.learning.data.dataset import TrainingSource
    from shared.learning.lifecycle.retraining import Services
    from shared.scoring.rules import Rules

    bucket = blobs(settings)
    read, asked = exports(settings), queries(settings)
    uri, artifacts = tracking(settings)
    return Services(
        source=TrainingSource(read, asked, settings.project, settings.dataset, settings.maturity_days),
        bucket=settings.data_bucket,
        blobs=bucket,
        shelf=bucket,
        archive=data(settings),
        runs=MlflowRuns(uri, artifacts),
        registry=MlflowRegistry(uri),
        ledger=ledger(settings),
        rules=Rules.load(),
        clock=now,
        provenance=provenance(settings),
    )


def queries(settings: Settings) -> BigQueryQueries:
    """Return the BigQuery query client."""
    from shared.adapters.bigquery.query import BigQueryQueries

    return BigQueryQueries(bigquery_client(settings))


def exports(settings: Settings) -> BigQueryExports:
    """Return the Parquet exporter of BigQuery."""
    from shared.adapters.bigquery.query import BigQueryExports

    return BigQueryExports(bigquery_client(settings), settings.data_bucket, data(settings))


def blobs(settings: Settings) -> GcsBlobs:
    """Return the model bucket."""
    return GcsBlobs.connect(settings.project, settings.bucket)


def data(settings: Settings) -> GcsBlobs:
    """Return the bucket of training sets, exports and loads."""
    return GcsBlobs.connect(settings.project, settings.data_bucket)


def bulk_load(settings: Settings, name: str, run: str) -> BulkLoad:
    """Return the loader of the Parquet files of `run` into table `name`."""
    from google.cloud import storage

    from shared.adapters.bigquery.load import BulkLoad

    bucket = storage.Client(project=settings.project).bucket(settings.data_bucket)
    target = f"{settings.project}.{settings.dataset}.{name}"
    return BulkLoad(bigquery_client(settings), bucket, target, f"{name}-{run}")


def history_store(settings: Settings, url: str) -> ValkeyStore:
    """Return the store of history at `url`."""
    from shared.adapters.valkey.store import ValkeyStore

    return ValkeyStore.connect(url, settings.state_record_days * DAY_SECONDS, settings.state_shards)


def dead_letters(settings: Settings, topic: str) -> PubsubDeadLetters:
    """Return the dead letters of a topic."""
    from shared.adapters.pubsub.dead_letters import PubsubDeadLetters

    return PubsubDeadLetters.connect(settings.project, topic)


def stored_tables(settings: Settings) -> list[StoredTables]:
    """Return the tables to replay, as each shard of history counted their rows."""
    from shared.replay.tables import StoredTables

    return StoredTables.each(exports(settings), settings.project, settings.dataset, settings.state_shards)


def snapshots(settings: Settings) -> Snapshots:
    """Return the snapshots of history."""
    from shared.replay.snapshots import Snapshots

    bucket = data(settings)
    return Snapshots(bucket, bucket)


def lost_places(settings: Settings) -> BigQueryLostPlaces:
    """Return the places that the store of history has lost."""
    from shared.adapters.bigquery.lost import BigQueryLostPlaces

    place = (settings.project, settings.dataset)
    return BigQueryLostPlaces(queries(settings), *place, lambda: _table(settings, LOST_PLACES), now)


def repair(settings: Settings, store: HistoryStore, wait: Callable[[], None]) -> Repair:
    """Return the repair of a store; `wait` until the rows on their way are stored."""
    from shared.replay.repair import Repair

    lost, claim_seconds = lost_places(settings), settings.state_claim_seconds
    return Repair(store, stored_tables(settings), snapshots(settings), lost, now, wait, claim_seconds)


async def filled(settings: Settings, window: Window, limit: int, advance: Callable[[int], None]) -> Filled:
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
    told = CountedOutcomes(history, BigQueryAsked(client, *place, settings.lookup_seconds))
    stated = VerdictHistory(BigQueryLookup(client, *place, settings.lookup_seconds), history)
    served = (current_micros, settings.ahead_seconds, metrics)
    try:
        yield Filling(
            BigQueryUnplaced(queries(settings), *place),
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


def operator_move(settings: Settings) -> OperatorMove:
    """Return the mover of the pointer by hand; MLflow is imported only after the pointer has moved."""

    def registry() -> MlflowRegistry:
        from shared.adapters.mlflow.tracking import MlflowRegistry

        return MlflowRegistry(tracking(settings)[0])

    return OperatorMove(blobs(settings), registry, ledger(settings), now, actor(settings))


def control(settings: Settings) -> ControlCommands:
    """Return the switch of the control group."""
    return ControlCommands(blobs(settings), ledger(settings), now, actor(settings))


def drift_source(settings: Settings, since: dt.datetime, until: dt.datetime) -> DriftSource:
    """Return the reader of a period's rows."""
    from shared.learning.lifecycle.drift import DriftSource

    asked, read = queries(settings), exports(settings)
    return DriftSource(asked, read, settings.project, settings.dataset, since, until)


def retiring(settings: Settings) -> Retiring:
    """Return the services of a retirement."""
    from shared.learning.lifecycle.retire import Retiring

    bucket = blobs(settings)
    return Retiring(bucket, bucket, ledger(settings), now, actor(settings))


def ledger(settings: Settings) -> BigQueryLedger:
    """Return the ledger."""
    from shared.adapters.bigquery.ledger import BigQueryLedger

    name = f"{settings.project}.{settings.dataset}.{LEDGER}"
    return BigQueryLedger(queries(settings), name, lambda: _table(settings, LEDGER))


def _table(settings: Settings, name: str) -> BigQueryTable:
    """Connect to a table, within the event loop that appends to it."""
    service = WriteService.connect(settings.bigquery_storage_emulator_host)
    return BigQueryTable(service, settings.project, settings.dataset, table(name), settings.append_timeout_seconds)


def tracking(settings: Settings) -> tuple[str, str | None]:
    """Return MLflow's tracking URI and its artifact location; None leaves the location to a server.

    Without MLFLOW_TRACKING_URI both are in .local/mlflow. A SQLite file keeps its artifacts beside it. Raises
    Misconfigured if the file cannot be opened: MLflow itself would retry for minutes.
    """
    uri = settings.mlflow_tracking_uri or f"{SQLITE}{Path('.local/mlflow/mlflow.db').absolute()}"
    if not uri.startswith(SQLITE):
        return uri, None
    file = Path(uri.removeprefix(SQLITE))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sqlite3.connect(file).close()
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"MLFLOW_TRACKING_URI: {file} cannot be opened: {error}") from error
    return uri, (file.parent.absolute() / "artifacts").as_uri()
