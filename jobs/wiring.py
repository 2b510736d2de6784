"""The composition root of the jobs: the only place where they meet environment and adapters."""

from __future__ import annotations

import asyncio
import datetime as dt
import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.moving import Mover
from shared.adapters.bigquery_write import BigQueryTable
from shared.adapters.gcs import GcsBlobs
from shared.contract.rows import LedgerRow
from shared.contract.tables import table
from shared.errors import Unavailable
from shared.settings import Settings
from shared.wiring import write_client

if TYPE_CHECKING:
    from google.cloud import bigquery

    from shared.adapters.bigquery_load import BulkLoad
    from shared.adapters.mlflow_tracking import MlflowRegistry
    from shared.learning.retraining import World

LEDGER = "model_ledger"


def prepare() -> None:
    """Set what libraries read from the environment while they are imported.

    OpenMP threads that spin while they wait made boosting seven times slower beside one other busy process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def actor() -> str:
    """Return who runs this: the Cloud Run execution, or the user."""
    return os.environ.get("CLOUD_RUN_EXECUTION") or getpass.getuser()


def now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


def world(settings: Settings) -> World:
    """Return all that a retraining touches."""
    from shared.adapters.bigquery_query import BigQueryExports
    from shared.adapters.mlflow_tracking import MlflowRegistry, MlflowRuns
    from shared.learning.dataset import Source
    from shared.learning.retraining import World
    from shared.scoring.rules import Rules

    credentials = AnonymousCredentials() if environment.get("BIGQUERY_EMULATOR_HOST") else None
    client = bigquery.Client(project=settings.project, credentials=credentials)
    bucket = blobs(settings)
    uri, artifacts = tracking(environment)
    return World(
        source=Source(
            BigQueryExports(client, settings.bucket, bucket),
            settings.project,
            settings.dataset,
            settings.maturity_days,
        ),
        blobs=bucket,
        runs=MlflowRuns(uri, artifacts),
        registry=MlflowRegistry(uri),
        ledger=ledger(settings),
        rules=Rules.load(),
        clock=now,
    )


def bulk_load(settings: Settings, name: str) -> BulkLoad:
    """Return what loads rows into table `name` in bulk."""
    from google.cloud import storage

    from shared.adapters.bigquery_load import BulkLoad

    bucket = storage.Client(project=settings.project).bucket(settings.bucket)
    return BulkLoad(bigquery_client(settings), bucket, settings.project, settings.dataset, table(name))


def bigquery_client(settings: Settings) -> bigquery.Client:
    """Return a client of BigQuery, without credentials where BIGQUERY_EMULATOR_HOST names an emulator."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    credentials = AnonymousCredentials() if os.environ.get("BIGQUERY_EMULATOR_HOST") else None
    return bigquery.Client(project=settings.project, credentials=credentials)


def blobs(settings: Settings) -> GcsBlobs:
    """Return the bucket of models."""
    return GcsBlobs.connect(settings.project, settings.bucket)


def bulk_load(settings: Settings, name: str, environment: Mapping[str, str]) -> BulkLoad:
    """Return what loads rows into a table in bulk."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery, storage

    from shared.adapters.bigquery_load import BulkLoad

    credentials = AnonymousCredentials() if environment.get("BIGQUERY_EMULATOR_HOST") else None
    client = bigquery.Client(project=settings.project, credentials=credentials)
    bucket = storage.Client(project=settings.project, credentials=credentials).bucket(settings.bucket)
    return BulkLoad(client, bucket, settings.project, settings.dataset, table(name))


def mover(settings: Settings) -> Mover:
    """Return what moves the pointer by hand; MLflow is imported only after it has moved."""

    def registry() -> MlflowRegistry:
        from shared.adapters.mlflow_tracking import MlflowRegistry

        return MlflowRegistry(tracking()[0])

    return Mover(blobs(settings), registry, ledger(settings), now, actor())


def ledger(settings: Settings) -> Callable[[LedgerRow], None]:
    """Return what appends one row to the ledger. Raises Unavailable when it is called."""
    return lambda row: asyncio.run(_append(settings, row))


def tracking() -> tuple[str, str | None]:
    """Return MLflow's tracking URI and where artifacts go: as configured, or SQLite and files in .local/mlflow."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri, None
    folder = Path(".local/mlflow").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()


async def _append(settings: Settings, row: LedgerRow) -> None:
    rows = BigQueryTable(
        write_client(settings), settings.project, settings.dataset, table(LEDGER), settings.append_timeout_seconds
    )
    try:
        if await rows.append([row]):
            raise Unavailable(f"BigQuery refuses a row of {LEDGER}: its schema is not the one in the contract")
    finally:
        await rows.close()
