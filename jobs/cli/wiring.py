"""The composition root of the jobs: the only place where they meet environment and adapters."""

from __future__ import annotations

import datetime as dt
import getpass
import sqlite3
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.gcs import GcsBlobs
from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.learning.lifecycle.mover import Mover
from shared.settings import Settings
from shared.wiring.common import DAY_SECONDS, bigquery_client

if TYPE_CHECKING:
    from shared.adapters.bigquery.ledger import BigQueryLedger
    from shared.adapters.bigquery.load import BulkLoad
    from shared.adapters.bigquery.query import BigQueryExports, BigQueryQueries
    from shared.adapters.mlflow.tracking import MlflowRegistry
    from shared.adapters.pubsub import DeadLetters
    from shared.adapters.valkey.load import ValkeyLoad
    from shared.learning.lifecycle.drift import Recent
    from shared.learning.lifecycle.retire import Retiring
    from shared.learning.lifecycle.retraining import Services
    from shared.replay.tables import StoredTables

LEDGER = "model_ledger"
SQLITE = "sqlite:///"


def prepare(environment: MutableMapping[str, str]) -> None:
    """Set what libraries read from the environment while they are imported.

    OpenMP threads that spin while they wait made boosting seven times slower beside one other busy process.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    environment.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def actor(environment: Mapping[str, str]) -> str:
    """Return who runs this: the Cloud Run execution, or the user."""
    return environment.get("CLOUD_RUN_EXECUTION") or getpass.getuser()


def now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


def world(settings: Settings, environment: Mapping[str, str]) -> Services:
    """Return all that a retraining touches."""
    from shared.adapters.mlflow.tracking import MlflowRegistry, MlflowRuns
    from shared.learning.data.dataset import TrainingSource
    from shared.learning.lifecycle.retraining import Services
    from shared.scoring.rules import Rules

    bucket = blobs(settings)
    read, asked = exports(settings), queries(settings)
    uri, artifacts = tracking(environment)
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
    )


def queries(settings: Settings) -> BigQueryQueries:
    """Return what asks the tables."""
    from shared.adapters.bigquery.query import BigQueryQueries

    return BigQueryQueries(bigquery_client(settings))


def exports(settings: Settings) -> BigQueryExports:
    """Return what reads many rows of the tables, by way of the bucket."""
    from shared.adapters.bigquery.query import BigQueryExports

    return BigQueryExports(bigquery_client(settings), settings.data_bucket, data(settings))


def blobs(settings: Settings) -> GcsBlobs:
    """Return the bucket of models."""
    return GcsBlobs.connect(settings.project, settings.bucket)


def data(settings: Settings) -> GcsBlobs:
    """Return the bucket of rows."""
    return GcsBlobs.connect(settings.project, settings.data_bucket)


def bulk_load(settings: Settings, name: str, run: str) -> BulkLoad:
    """Return what loads Parquet files of `run` into table `name`."""
    from google.cloud import storage

    from shared.adapters.bigquery.load import BulkLoad

    bucket = storage.Client(project=settings.project).bucket(settings.data_bucket)
    target = f"{settings.project}.{settings.dataset}.{name}"
    return BulkLoad(bigquery_client(settings), bucket, target, f"{name}-{run}")


def state_load(settings: Settings, url: str) -> ValkeyLoad:
    """Return the store of history at `url`, to be filled."""
    from shared.adapters.valkey.load import ValkeyLoad

    return ValkeyLoad.connect(url, settings.state_record_days * DAY_SECONDS)


def dead_letters(settings: Settings, topic: str) -> DeadLetters:
    """Return the dead letters of a topic."""
    from shared.adapters.pubsub import DeadLetters

    return DeadLetters.connect(settings.project, topic)


def dataset(settings: Settings) -> StoredTables:
    """Return the tables to read rows from."""
    from shared.replay.tables import StoredTables

    return StoredTables(exports(settings), settings.project, settings.dataset)


def mover(settings: Settings, environment: Mapping[str, str]) -> Mover:
    """Return what moves the pointer by hand; MLflow is imported only after it has moved."""

    def registry() -> MlflowRegistry:
        from shared.adapters.mlflow.tracking import MlflowRegistry

        return MlflowRegistry(tracking(environment)[0])

    return Mover(blobs(settings), registry, ledger(settings), now, actor(environment))


def recent(settings: Settings, since: dt.datetime, until: dt.datetime) -> Recent:
    """Return where the rows of a period are read."""
    from shared.learning.lifecycle.drift import Recent

    asked, read = queries(settings), exports(settings)
    return Recent(asked, read, settings.project, settings.dataset, since, until)


def retiring(settings: Settings, environment: Mapping[str, str]) -> Retiring:
    """Return what removing bundles touches."""
    from shared.learning.lifecycle.retire import Retiring

    bucket = blobs(settings)
    return Retiring(bucket, bucket, ledger(settings), now, actor(environment))


def ledger(settings: Settings) -> BigQueryLedger:
    """Return the ledger."""
    from shared.adapters.bigquery.ledger import BigQueryLedger

    def open_table() -> BigQueryTable:
        service = WriteService.connect(settings.bigquery_storage_emulator_host)
        return BigQueryTable(
            service, settings.project, settings.dataset, table(LEDGER), settings.append_timeout_seconds
        )

    return BigQueryLedger(queries(settings), f"{settings.project}.{settings.dataset}.{LEDGER}", open_table)


def tracking(environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Return MLflow's tracking URI and where artifacts go; None leaves that to a server.

    Without MLFLOW_TRACKING_URI both are in .local/mlflow. A SQLite file keeps its artifacts beside it. Raises
    Misconfigured if there can be no such file: MLflow itself would try for minutes.
    """
    uri = environment.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{Path('.local/mlflow/mlflow.db').absolute()}"
    if not uri.startswith(SQLITE):
        return uri, None
    file = Path(uri.removeprefix(SQLITE))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sqlite3.connect(file).close()
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"MLFLOW_TRACKING_URI: {file} cannot be opened: {error}") from error
    return uri, (file.parent.absolute() / "artifacts").as_uri()
