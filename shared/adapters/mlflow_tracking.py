"""Runs and registered models in MLflow."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

import shared
from shared.errors import Unavailable
from shared.learning.ports import Report

log = logging.getLogger(__name__)

EXPERIMENT = "pix-fraud"
MODEL = "pix-fraud"
BUNDLE_VERSION = "bundle_version"  # tag of a registered version: the bundle in the bucket that it is
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_REQUIREMENTS = ("msgspec", "numpy", "onnxruntime", "pandas")
_VALUE_MAX = 5000  # characters of a tag

P = ParamSpec("P")
T = TypeVar("T")


def _mapped(method: Callable[P, T]) -> Callable[P, T]:
    """Turn MLflow's errors into Unavailable."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (MlflowException, OSError) as error:
            raise Unavailable(f"MLflow: {type(error).__name__}: {error}") from error

    return call


class MlflowRuns:
    """`shared.learning.ports.Runs`; `artifacts` is where new experiments keep files, None: the server decides."""

    def __init__(self, tracking_uri: str, artifacts: str | None) -> None:
        mlflow.set_tracking_uri(tracking_uri)  # log_model knows no other way
        self._client = mlflow.MlflowClient(tracking_uri)
        self._artifacts = artifacts

    @_mapped
    def start(self, params: Mapping[str, str]) -> str:
        """Open a run and return its id. Raises Unavailable."""
        run = self._client.create_run(self._experiment(), run_name=f"{params['trigger']} {params['as_of']}")
        run_id: str = run.info.run_id
        self._client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])
        return run_id

    @_mapped
    def finish(self, run_id: str, report: Report | None) -> None:
        """Close a run, with its report or as failed. Raises Unavailable."""
        if report is None:
            self._client.set_terminated(run_id, "FAILED")
            return
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in report.metrics.items()],
            tags=[RunTag(name, value[:_VALUE_MAX]) for name, value in report.tags.items()],
        )
        with _saved(report.plots) as folder:
            self._client.log_artifacts(run_id, str(folder), "plots")
        self._register(run_id, report)

    def _experiment(self) -> str:
        known = self._client.get_experiment_by_name(EXPERIMENT)
        if known is None:
            return str(self._client.create_experiment(EXPERIMENT, self._artifacts))
        return str(known.experiment_id)

    def _register(self, run_id: str, report: Report) -> None:
        """Log the bundle in MLflow's format, register it, name it challenger, and end the run."""
        with _saved(report.files) as folder, mlflow.start_run(run_id=run_id), warnings.catch_warnings():
            # An example of the input would be somebody's row.
            warnings.filterwarnings("ignore", "(?s).*input example was not provided", UserWarning)
            model = mlflow.pyfunc.log_model(
                name="model",
                loader_module="shared.learning.served_model",
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

    def __init__(self, tracking_uri: str) -> None:
        self._client = mlflow.MlflowClient(tracking_uri)

    @_mapped
    def appoint(self, version: str) -> None:
        """Let alias `champion` name that bundle, and `previous` the one it replaces. Raises Unavailable."""
        found = self._client.search_model_versions(f"name = '{MODEL}' and tags.{BUNDLE_VERSION} = '{version}'")
        if not found:
            log.warning("version is not registered", extra={"fields": {"version": version}})
            return
        before = self._holder(CHAMPION)
        if before and before.version != found[0].version:
            self._client.set_registered_model_alias(MODEL, PREVIOUS, before.version)
        self._client.set_registered_model_alias(MODEL, CHAMPION, found[0].version)
        challenger = self._holder(CHALLENGER)
        if challenger and challenger.version == found[0].version:
            self._client.delete_registered_model_alias(MODEL, CHALLENGER)

    def _holder(self, alias: str) -> ModelVersion | None:
        aliases = self._client.get_registered_model(MODEL).aliases
        return self._client.get_model_version_by_alias(MODEL, alias) if alias in aliases else None


@contextmanager
def _saved(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Give a folder that holds the files while the block runs."""
    with TemporaryDirectory(prefix="mlflow-") as name:
        folder = Path(name) / "bundle"
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
        yield folder


def _signature(report: Report) -> ModelSignature:
    """Return the model's inputs by name and its output; doubles, as MLflow does not narrow a column by itself."""
    columns: list[ColSpec | TensorSpec] = [ColSpec(DataType.double, name) for name in report.inputs]
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec(DataType.double)]))
