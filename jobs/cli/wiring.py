"""The composition root of the jobs: the only place where they meet the environment and the adapters.

The parts about history are in `history_wiring`.
"""

from __future__ import annotations

import datetime as dt
import getpass
import sqlite3
from collections.abc import MutableMapping
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
from shared.settings import RELEASE, Settings
from shared.wiring.common import (
    bigquery_client,
    decision_topic,
)

if TYPE_CHECKING:
    from shared.adapters.bigquery.desk.rows import BigQueryDeskRows, BigQuerySurroundings
    from shared.adapters.bigquery.health import BigQueryHealth
    from shared.adapters.bigquery.ledger import BigQueryLedger
    from shared.adapters.bigquery.load import BulkLoad
    from shared.adapters.bigquery.query import BigQueryExports, BigQueryQueries
    from shared.adapters.bigquery.suspicions import BigQuerySuspicions
    from shared.adapters.mlflow.tracking import MlflowRegistry
    from shared.adapters.pubsub.dead_letters import PubsubDeadLetters
    from shared.learning.config import Config
    from shared.learning.contest.contest import Contest
    from shared.learning.lifecycle.challenge import ChallengeCommands
    from shared.learning.lifecycle.drift import DriftSource
    from shared.learning.lifecycle.retire import Retiring
    from shared.learning.lifecycle.retraining import Services
    from shared.learning.monitoring.causes.rows import CauseSource
    from shared.learning.monitoring.monitor import Monitor
    from shared.learning.probation.probation import Probation
    from shared.learning.training.engine import TrainingEngine
    from shared.operations.expiry import Expired
    from shared.scoring.signed_blobs import SignedBlobs

LEDGER = "model_ledger"
SQLITE = "sqlite:///"


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


def services(settings: Settings, engine: TrainingEngine) -> Services:
    """Return the services of a retraining on an engine."""
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
        engine=engine,
    )


def queries(settings: Settings) -> BigQueryQueries:
    """Return the BigQuery query client."""
    from shared.adapters.bigquery.query import BigQueryQueries

    return BigQueryQueries(bigquery_client(settings))


def exports(settings: Settings) -> BigQueryExports:
    """Return the Parquet exporter of BigQuery."""
    from shared.adapters.bigquery.query import BigQueryExports

    return BigQueryExports(bigquery_client(settings), settings.data_bucket, data(settings))


def blobs(settings: Settings) -> SignedBlobs:
    """Return the bucket of models, in which only a process with PIX_MODEL_SIGNER may write. Raises Misconfigured."""
    from shared.wiring.models import model_signer, models

    return models(settings, GcsBlobs.connect(settings.project, settings.bucket), model_signer(settings))


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


def desk_rows(settings: Settings) -> BigQueryDeskRows:
    """Return the reader of decisions and of their reviews."""
    from shared.adapters.bigquery.desk.rows import BigQueryDeskRows

    return BigQueryDeskRows(queries(settings), settings.project, settings.dataset)


def surroundings(settings: Settings) -> BigQuerySurroundings:
    """Return the reader of the past of accounts."""
    from shared.adapters.bigquery.desk.rows import BigQuerySurroundings

    return BigQuerySurroundings(queries(settings), settings.project, settings.dataset, settings.maturity_days)


def suspicions(settings: Settings) -> BigQuerySuspicions:
    """Return the rows of the register of suspicions."""
    from shared.adapters.bigquery.suspicions import NAME, BigQuerySuspicions

    return BigQuerySuspicions(queries(settings), settings.project, settings.dataset, lambda: appended(settings, NAME))


def dead_letters(settings: Settings, topic: str) -> PubsubDeadLetters:
    """Return the dead letters of a topic."""
    from shared.adapters.pubsub.dead_letters import PubsubDeadLetters

    return PubsubDeadLetters.connect(settings.project, topic)


async def expired(settings: Settings, until: dt.datetime) -> Expired:
    """Tell the deadlines that have passed; see `shared.operations.expiry`. Raises Unavailable, Misconfigured."""
    from shared.adapters.bigquery.desk.rows import BigQueryDeskRows
    from shared.contract.decision import DecisionEvent
    from shared.operations.expiry import Expiry

    holds = BigQueryDeskRows(queries(settings), settings.project, settings.dataset)
    event = DecisionEvent.RELEASED if settings.unreviewed_holds == RELEASE else DecisionEvent.REFUSED
    return await Expiry(holds, decision_topic(settings), data(settings), event).run(until)


def operator_move(settings: Settings) -> OperatorMove:
    """Return the mover of the pointer by hand; MLflow is imported only after the pointer has moved."""

    def registry() -> MlflowRegistry:
        from shared.adapters.mlflow.tracking import MlflowRegistry

        return MlflowRegistry(tracking(settings)[0])

    return OperatorMove(blobs(settings), registry, ledger(settings), now, actor(settings))


def control(settings: Settings) -> ControlCommands:
    """Return the switch of the control group."""
    return ControlCommands(blobs(settings), ledger(settings), now, actor(settings))


def challenge(settings: Settings) -> ChallengeCommands:
    """Return the steps of tests of challengers."""
    from shared.learning.lifecycle.arm_counts import ArmRows
    from shared.learning.lifecycle.challenge import ChallengeCommands
    from shared.scoring.rules import Rules

    rows = ArmRows(queries(settings), settings.project, settings.dataset, Rules.load())
    return ChallengeCommands(blobs(settings), ledger(settings), rows, now, actor(settings))


def drift_source(settings: Settings, since: dt.datetime, until: dt.datetime) -> DriftSource:
    """Return the reader of a period's rows."""
    from shared.learning.lifecycle.drift import DriftSource

    asked, read = queries(settings), exports(settings)
    return DriftSource(asked, read, settings.project, settings.dataset, since, until)


def monitor(settings: Settings, config: Config) -> Monitor:
    """Return the services of the measures of health."""
    from shared.learning.monitoring.health_sql import HealthSql
    from shared.learning.monitoring.input_sql import InputSql
    from shared.learning.monitoring.monitor import Monitor
    from shared.learning.monitoring.reject_watch import RejectWatch
    from shared.learning.monitoring.watch import InputWatch
    from shared.scoring.rules import Rules

    project, dataset, asked = settings.project, settings.dataset, queries(settings)
    buckets = (blobs(settings), data(settings))
    told, by = ledger(settings), actor(settings)
    inputs = InputWatch(asked, InputSql(project, dataset), *buckets, told, config.drift, now, by)
    sql = HealthSql(project, dataset, settings.maturity_days, Rules.load())
    costs = config.costs.by_side
    return Monitor(asked, health(settings), sql, costs, now, inputs, RejectWatch(told, costs, now, by))


def health(settings: Settings) -> BigQueryHealth:
    """Return the table of health, to append to."""
    from shared.adapters.bigquery.health import BigQueryHealth
    from shared.learning.monitoring.monitor import TABLE

    return BigQueryHealth(lambda: appended(settings, TABLE))


def cause_source(settings: Settings) -> CauseSource:
    """Return the reader of the rows in which causes of a drift are sought."""
    from shared.learning.monitoring.causes.rows import CauseSource

    return CauseSource(queries(settings), exports(settings), settings.project, settings.dataset)


def contest(settings: Settings, config: Config) -> Contest:
    """Return the services of a look at a challenger."""
    from shared.learning.contest.contest import Contest

    moves = operator_move(settings)
    return Contest(
        moves.blobs,
        data(settings),
        queries(settings),
        health(settings),
        moves,
        challenge(settings),
        config,
        settings.project,
        settings.dataset,
        settings.maturity_days,
    )


def probation(settings: Settings, config: Config) -> Probation:
    """Return the services of the probation of a model that has just begun to serve."""
    from shared.learning.probation.probation import Probation
    from shared.learning.probation.rows import ProbationRows
    from shared.scoring.rules import Rules

    rows = ProbationRows(queries(settings), settings.project, settings.dataset, Rules.load())
    return Probation(operator_move(settings), rows, config.probation, config.costs.by_side)


def retiring(settings: Settings) -> Retiring:
    """Return the services of a retirement."""
    from shared.learning.lifecycle.retire import Retiring

    bucket = blobs(settings)
    return Retiring(bucket, bucket, ledger(settings), now, actor(settings), signs=bool(settings.model_signer))


def ledger(settings: Settings) -> BigQueryLedger:
    """Return the ledger."""
    from shared.adapters.bigquery.ledger import BigQueryLedger

    name = f"{settings.project}.{settings.dataset}.{LEDGER}"
    return BigQueryLedger(queries(settings), name, lambda: appended(settings, LEDGER))


def appended(settings: Settings, name: str) -> BigQueryTable:
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
