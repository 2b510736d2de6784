"""Runs and the model registry in MLflow."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID, MLFLOW_USER
from sqlalchemy.exc import SQLAlchemyError

import shared
from shared.adapters.gcs import STORAGE_FAILURES
from shared.adapters.mlflow.sqlite import exclusive
from shared.errors import Unavailable
from shared.learning.ports import RunReport, TrainingSnapshot, Trial

log = logging.getLogger(__name__)

EXPERIMENT = "pix-fraud"
MODEL = "pix-fraud"
BUNDLE_VERSION = "bundle_version"  # tag of a registered version: the version of its bundle in the bucket
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_REQUIREMENTS = ("msgspec", "numpy", "onnxruntime", "pandas")
_VALUE_MAX = 5000  # characters of a tag, MLflow's limit
_DIGEST_MAX = 36  # characters of a dataset's digest, MLflow's limit
_PAGE = 1000  # runs closed by one call
FAILURES: tuple[type[Exception], ...] = (MlflowException, SQLAlchemyError, OSError, *STORAGE_FAILURES)
"""Errors that become `shared.errors.Unavailable`: of MLflow, its local store, and the bucket of its artifacts."""
_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAILED": "FAILED"}

P = ParamSpec("P")
T = TypeVar("T")


def _map_errors(method: Callable[P, T]) -> Callable[P, T]:
    """Map FAILURES to Unavailable."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except FAILURES as error:
            raise Unavailable(f"MLflow: {type(error).__name__}: {error}") from error

    return call


class MlflowRuns:
    """`shared.learning.ports.Runs`; `artifacts` is the artifact location of a new experiment, None the server's."""

    @_map_errors
    def __init__(self, tracking_uri: str, artifacts: str | None) -> None:
        mlflow.set_tracking_uri(tracking_uri)  # log_model takes no client
        self._client = _opened(tracking_uri)
        self._artifacts = artifacts
        self._experiment_id: str | None = None

    @_map_errors
    def start(self, params: Mapping[str, str]) -> str:
        """Open a run and return its id. Raises Unavailable."""
        known = {MLFLOW_USER: params.get("actor"), MLFLOW_GIT_COMMIT: params.get("commit")}
        tags = {tag: value for tag, value in known.items() if value}
        run = self._client.create_run(
            self._experiment(), tags=tags, run_name=f"{params['trigger']} {params['as_of']}"
        )
        run_id: str = run.info.run_id
        self._client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])
        return run_id

    @_map_errors
    def dataset(self, run_id: str, snapshot: TrainingSnapshot) -> None:
        """Log the snapshot as the run's training set, with its digest and address, and its pointer for DVC.

        Raises Unavailable.
        """
        described = Dataset(
            name="training_examples",
            digest=snapshot.content_hash[:_DIGEST_MAX],
            source_type=snapshot.uri.partition(":")[0],
            source=json.dumps({"uri": snapshot.uri}),
            schema=json.dumps({"mlflow_colspec": _inputs(snapshot.names).to_dict()}),
            profile=json.dumps({"num_rows": snapshot.rows, "sha256": snapshot.content_hash}),
        )
        context = [InputTag(MLFLOW_DATASET_CONTEXT, "training")]
        self._client.log_inputs(run_id, [DatasetInput(described, context)])
        self._client.log_text(run_id, snapshot.pointer, snapshot.pointer_name)

    @_map_errors
    def trial(self, run_id: str, trial: Trial) -> None:
        """Record a trial as a child run, with the average precision of each fold. Raises Unavailable."""
        ended = round(time.time() * 1000)
        started = ended - round(trial.seconds * 1000)
        name = f"trial {trial.number} {trial.candidate}"
        tags = {MLFLOW_PARENT_RUN_ID: run_id, "candidate": trial.candidate, "trial_state": trial.state}
        run = self._client.create_run(self._experiment(), start_time=started, tags=tags, run_name=name)
        metrics = [
            Metric("fold_average_precision", value, ended, fold)
            for fold, value in enumerate(trial.folds)
            if math.isfinite(value)
        ]
        if trial.average_precision is not None:
            metrics.append(Metric("average_precision", trial.average_precision, ended, 0))
        params = {"family": trial.family, **trial.params}
        self._client.log_batch(
            run.info.run_id, metrics=metrics, params=[Param(key, str(value)) for key, value in params.items()]
        )
        self._client.set_terminated(run.info.run_id, _STATUS[trial.state], ended)

    @_map_errors
    def close_stale(self, before: dt.datetime) -> list[str]:
        """Mark open runs that started before `before` failed, and return their ids. Raises Unavailable."""
        opened = f"attributes.status = 'RUNNING' and attributes.start_time < {round(before.timestamp() * 1000)}"
        found: list[Run] = self._client.search_runs([self._experiment()], opened, max_results=_PAGE)
        for run in found:
            self._client.set_tag(run.info.run_id, "ended", "its job was interrupted")
            self._client.set_terminated(run.info.run_id, "FAILED")
        return [run.info.run_id for run in found]

    @_map_errors
    def finish(self, run_id: str, report: RunReport | None) -> None:
        """Close a run and register its model as challenger, or mark the run failed if `report` is None.

        Raises Unavailable.
        """
        if report is None:
            self._client.set_terminated(run_id, "FAILED")
            return
        now = round(time.time() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in report.metrics.items()],
            tags=[RunTag(name, value[:_VALUE_MAX]) for name, value in report.tags.items()],
        )
        with _written(report.plots) as folder:
            self._client.log_artifacts(run_id, str(folder), "plots")
        with _written(report.documents) as folder:
            self._client.log_artifacts(run_id, str(folder))
        self._register(run_id, report)

    def _experiment(self) -> str:
        if self._experiment_id is None:
            found = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment_id = str(found.experiment_id) if found else self._new_experiment()
        return self._experiment_id

    def _new_experiment(self) -> str:
        try:
            return str(self._client.create_experiment(EXPERIMENT, self._artifacts))
        except MlflowException:
            found = self._client.get_experiment_by_name(EXPERIMENT)  # another training may have created it
            if found is None:
                raise
            return str(found.experiment_id)

    def _register(self, run_id: str, report: RunReport) -> None:
        """Log the bundle as an MLflow model, register it with the alias challenger, and end the run."""
        with _written(report.files) as folder, mlflow.start_run(run_id=run_id), warnings.catch_warnings():
            # MLflow asks for an input example, which would be a customer's transaction.
            warnings.filterwarnings("ignore", "(?s).*input example was not provided", UserWarning)
            model = mlflow.pyfunc.log_model(
                name="model",
                loader_module="shared.learning.lifecycle.served_model",
                data_path=str(folder),
                code_paths=[str(Path(shared.__file__).parent)],
                signature=_signature(report),
                pip_requirements=[f"{name}=={installed(name)}" for name in _REQUIREMENTS],
                registered_model_name=MODEL,
            )
        number = str(model.registered_model_version)
        self._client.set_model_version_tag(MODEL, number, BUNDLE_VERSION, report.version)
        self._client.set_registered_model_alias(MODEL, CHALLENGER, number)


class MlflowRegistry:
    """`shared.learning.ports.Registry`."""

    @_map_errors
    def __init__(self, tracking_uri: str) -> None:
        self._client = _opened(tracking_uri)

    @_map_errors
    def set_champion(self, version: str, previous: str | None) -> None:
        """Set the aliases `champion` and `previous`; the champion is no longer `challenger`.

        The alias of a bundle that is not registered stays unchanged. Raises Unavailable.
        """
        wanted = {
            CHAMPION: self._registered_number(version),
            PREVIOUS: previous and self._registered_number(previous),
        }
        if not any(wanted.values()):
            return
        aliases: dict[str, str] = self._client.get_registered_model(MODEL).aliases
        for alias, number in wanted.items():
            if number and str(aliases.get(alias)) != number:
                self._client.set_registered_model_alias(MODEL, alias, number)
        if wanted[CHAMPION] and str(aliases.get(CHALLENGER)) == wanted[CHAMPION]:
            self._client.delete_registered_model_alias(MODEL, CHALLENGER)

    def _registered_number(self, version: str) -> str | None:
        """Return MLflow's version number of a bundle, or None if it is not registered."""
        found = self._client.search_model_versions(f"name = '{MODEL}' and tags.{BUNDLE_VERSION} = '{version}'")
        if not found:
            log.warning("version is not registered", extra={"fields": {"version": version}})
            return None
        return str(found[0].version)


def _opened(tracking_uri: str) -> mlflow.MlflowClient:
    with exclusive(tracking_uri):
        return mlflow.MlflowClient(tracking_uri)


@contextmanager
def _written(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write the files to a temporary folder for the duration of the block."""
    with TemporaryDirectory(prefix="mlflow-") as name:
        folder = Path(name) / "bundle"
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
        yield folder


def _signature(report: RunReport) -> ModelSignature:
    """Return the model's named inputs and its output, all doubles: MLflow does not convert double to float."""
    return ModelSignature(inputs=_inputs(report.inputs), outputs=Schema([ColSpec(DataType.double)]))


def _inputs(names: Sequence[str]) -> Schema:
    columns: list[ColSpec | TensorSpec] = [ColSpec(DataType.double, name) for name in names]
    return Schema(columns)
