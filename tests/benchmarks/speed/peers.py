"""Peers: the same model on the same core, served by a tutorial function and by MLflow."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import mlflow.sklearn
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.speed.load import Requests, http_request
from tests.benchmarks.speed.model import Trained
from tests.benchmarks.speed.testbed import Server, Testbed

VECTORS = 2_000


@contextmanager
def tutorial(testbed: Testbed, trained: Trained) -> Iterator[tuple[Server, Path]]:
    """Run the tutorial function; yield it and its requests."""
    joblib.dump(trained.model, testbed.home / "model.joblib")
    requests = testbed.home / "tutorial.bin"
    Requests.write(requests, (http_request(_push(vector)) for vector in _vectors(trained)))
    env = {
        "MODEL": str(testbed.home / "model.joblib"),
        "BIGQUERY_EMULATOR_HOST": testbed.rest,
        "FUNCTION_TARGET": "score",
    }
    folder = Path(__file__).with_name("tutorial")
    with testbed.server("tutorial", ["functions-framework"], env, folder, Requests(requests)[0]) as server:
        yield server, requests


@contextmanager
def mlflow_serve(testbed: Testbed, trained: Trained) -> Iterator[tuple[Server, Path]]:
    """Run `mlflow models serve` with one worker; yield it and its requests."""
    saved = testbed.home / "mlflow-model"
    mlflow.sklearn.save_model(
        trained.model, str(saved), pyfunc_predict_fn="predict_proba", serialization_format="pickle"
    )
    requests = testbed.home / "mlflow.bin"
    Requests.write(requests, (http_request(_invocation(vector), "/invocations") for vector in _vectors(trained)))
    options = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", "{port}"]
    command = ["mlflow", "models", "serve", "--model-uri", str(saved), *options]
    with testbed.server("mlflow", command, {}, testbed.home, Requests(requests)[0]) as server:
        yield server, requests


def _vectors(trained: Trained) -> NDArray[np.float32]:
    return trained.features[-VECTORS:]


def _push(vector: NDArray[np.float32]) -> bytes:
    message = {"end_to_end_id": "E12345678202411201432a1b2c3d4e5f", "features": vector.tolist()}
    data = base64.b64encode(json.dumps(message).encode()).decode()
    return json.dumps({"message": {"data": data, "messageId": "1"}, "subscription": "s"}).encode()


def _invocation(vector: NDArray[np.float32]) -> bytes:
    values: list[Any] = [None if np.isnan(value) else value for value in vector.tolist()]
    return json.dumps({"dataframe_split": {"columns": list(range(len(values))), "data": [values]}}).encode()
