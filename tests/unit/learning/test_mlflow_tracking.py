"""The real MLflow on SQLite and files; its own imports warn, so warnings are no errors here."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from jobs import wiring
from shared.errors import Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.retraining import retrain
from shared.scoring.champion import read_bundle
from tests.unit.learning.synthetic import QUICK, Bench, request, silent


@pytest.fixture
def _quiet(monkeypatch) -> None:
    environment: dict[str, str] = {}
    wiring.prepare(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_a_run_is_recorded_registered_and_loads_as_the_served_score(tmp_path) -> None:
    import mlflow

    from shared.adapters.mlflow_tracking import MODEL, MlflowRegistry, MlflowRuns

    uri, artifacts = wiring.tracking({"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"})
    bench = Bench()
    world = dataclasses.replace(bench.world(), runs=MlflowRuns(uri, artifacts), registry=MlflowRegistry(uri))
    first = retrain(world, QUICK, request(), silent)
    second = retrain(world, QUICK, request("always"), silent)
    client = mlflow.MlflowClient(uri)
    run = client.get_run(second.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["cost_per_million"] == second.metrics["cost_per_million"]
    assert run.data.params["dataset_hash"] == second.dataset_hash
    named = {
        alias: client.get_model_version(MODEL, number).tags["bundle_version"]
        for alias, number in client.get_registered_model(MODEL).aliases.items()
    }
    assert named == {"champion": second.version, "previous": first.version}
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    served = read_bundle(bench.blobs, second.version)
    vectors = np.random.default_rng(0).normal(size=(20, len(FEATURE_NAMES))).astype(np.float32)
    vectors[::3, ::2] = np.nan
    frame = pd.DataFrame(vectors.astype(float), columns=FEATURE_NAMES)[served.feature_names]
    np.testing.assert_allclose(model.predict(frame), served.score(vectors), atol=1e-9)
    runs = MlflowRuns(uri, artifacts)
    failed = runs.start({"trigger": "manual", "as_of": "now"})
    runs.finish(failed, None)
    assert client.get_run(failed).info.status == "FAILED"
    assert json.loads(bench.rows[-1].metrics)["average_precision"] == second.metrics["average_precision"]


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_a_tracker_that_fails_is_unavailable(tmp_path) -> None:
    from shared.adapters.mlflow_tracking import MlflowRuns

    runs = MlflowRuns(f"sqlite:///{tmp_path}/mlflow.db", tmp_path.as_uri())
    with pytest.raises(Unavailable):
        runs.finish("no-such-run", None)
