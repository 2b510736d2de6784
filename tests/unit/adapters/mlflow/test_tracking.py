"""MLflow itself on SQLite and files; its own imports warn, so warnings are not errors here."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import requests
from google.api_core.exceptions import Forbidden
from google.auth.exceptions import RefreshError

from infra.local.loopback import free_port
from infra.local.reaper import signal_group
from jobs.cli import wiring
from shared.errors import Misconfigured, Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.lifecycle.retraining import retrain
from shared.learning.ports import RunReport, TrainingSnapshot, Trial
from shared.scoring.champion import read_bundle
from shared.settings import Settings
from tests.unit.learning.bundles import NAMES, small_bundle
from tests.unit.learning.synthetic import QUICK, Bench, request, silent
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    import mlflow

    from shared.adapters.mlflow.tracking import MlflowRuns


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, to be copied: creating one takes seconds."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> str:
    """The address of a copy of the empty database."""
    return f"sqlite:///{shutil.copy(empty, tmp_path / 'mlflow.db')}"


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    wiring.prepare(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_run_is_recorded_and_its_registered_model_gives_the_served_score(store: str) -> None:
    import mlflow

    from shared.adapters.mlflow.tracking import MODEL, MlflowRegistry, MlflowRuns

    uri, artifacts = wiring.tracking(Settings("p", mlflow_tracking_uri=store))
    bench = Bench()
    world = dataclasses.replace(bench.services(), runs=MlflowRuns(uri, artifacts), registry=MlflowRegistry(uri))
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


TRIAL = Trial(3, "boosting", "hist_gradient_boosting", {"max_iter": 40}, 0.25, [0.2, 0.3], 1.5, "COMPLETE")
PRUNED = Trial(4, "linear", "logistic_regression", {}, None, [0.1], 0.5, "PRUNED")
SNAPSHOT = TrainingSnapshot(
    "ab" * 32,
    "gs://pix-models/datasets/abab.parquet",
    6_000,
    ["f1", "f2"],
    "abab.parquet.dvc",
    "outs:\n- md5: 00ff\n",
)


def tracked(place: str) -> tuple[MlflowRuns, mlflow.MlflowClient]:
    """Return the adapter over SQLite in a folder, or over a server, and MLflow's own client."""
    import mlflow

    from shared.adapters.mlflow.tracking import MlflowRuns

    uri, artifacts = wiring.tracking(Settings("p", mlflow_tracking_uri=place))
    return MlflowRuns(uri, artifacts), mlflow.MlflowClient(uri)


def recorded(runs: MlflowRuns) -> str:
    """Record a run with a training set, trials and a report, and return its id."""
    run_id = runs.start({"trigger": "labels", "as_of": "now", "actor": "ana", "commit": "0123abcd"})
    runs.dataset(run_id, SNAPSHOT)
    for trial in (TRIAL, PRUNED):
        runs.trial(run_id, trial)
    documents = {"card.html": b"<p>fine</p>", "leaderboard.json": b"[]", "verdict.json": b"{}"}
    bundle = small_bundle("v1")
    runs.finish(run_id, RunReport("v1", {"auc": 0.9}, {"family": "f"}, bundle, {"roc.png": b"png"}, NAMES, documents))
    return run_id


def check(client: mlflow.MlflowClient, run_id: str) -> None:
    import mlflow

    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.tags["mlflow.user"], run.data.tags["mlflow.source.git.commit"]) == ("ana", "0123abcd")
    [measured] = client.get_metric_history(run_id, "auc")
    assert run.info.start_time <= measured.timestamp <= run.info.end_time
    [given] = run.inputs.dataset_inputs
    assert (given.dataset.digest, given.tags[0].value) == (SNAPSHOT.content_hash[:36], "training")
    source: Any = mlflow.data.get_source(given.dataset)
    assert source.uri == SNAPSHOT.uri
    assert json.loads(given.dataset.profile) == {"num_rows": 6_000, "sha256": SNAPSHOT.content_hash}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{SNAPSHOT.pointer_name}") == SNAPSHOT.pointer
    found = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    by_name = {each.info.run_name: each for each in found}
    assert {name: each.info.status for name, each in by_name.items()} == {
        "trial 3 boosting": "FINISHED",
        "trial 4 linear": "KILLED",
    }
    whole = by_name["trial 3 boosting"]
    assert whole.data.params == {"family": "hist_gradient_boosting", "max_iter": "40"}
    assert whole.data.metrics["average_precision"] == 0.25
    assert [m.value for m in client.get_metric_history(whole.info.run_id, "fold_average_precision")] == [0.2, 0.3]
    assert whole.info.end_time - whole.info.start_time == 1_500
    assert {file.path for file in client.list_artifacts(run_id)} >= {"card.html", "leaderboard.json", "verdict.json"}
    assert [file.path for file in client.list_artifacts(run_id, "plots")] == ["plots/roc.png"]
    served = mlflow.pyfunc.load_model("models:/pix-fraud@challenger")
    frame = pd.DataFrame({name: [0.0, 1.0] for name in NAMES})
    np.testing.assert_allclose(served.predict(frame), 1 / (1 + np.exp([0.0, -3.0])), atol=1e-6)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_run_records_its_training_set_trials_and_documents(store: str) -> None:
    runs, client = tracked(store)
    check(client, recorded(runs))


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_server_records_a_run_as_a_database_file_does(store: str, tmp_path: Path) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", store, "--artifacts-destination", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url, server))
        runs, client = tracked(url)
        check(client, recorded(runs))
    finally:
        signal_group(server.pid, signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        finally:
            signal_group(server.pid, signal.SIGKILL)


def answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "the server has ended"
    try:
        return requests.get(f"{url}/health", timeout=PATIENCE).ok
    except requests.RequestException:
        return False


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_stale_runs_are_marked_failed_and_recent_ones_left_open(store: str) -> None:
    runs, client = tracked(store)
    old = runs.start({"trigger": "manual", "as_of": "then"})
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    assert runs.close_stale(later - dt.timedelta(days=1)) == []
    assert runs.close_stale(later) == [old]
    assert client.get_run(old).info.status == "FAILED"
    assert runs.close_stale(later) == []


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_aliases_follow_the_champion_and_ignore_unregistered_versions(store: str) -> None:
    from shared.adapters.mlflow.tracking import MODEL, MlflowRegistry

    runs, client = tracked(store)
    registry = MlflowRegistry(store)
    registry.set_champion("v0", None)
    for version in ("v1", "v2"):
        run_id = runs.start({"trigger": "manual", "as_of": "now"})
        runs.finish(run_id, RunReport(version, {}, {}, small_bundle(version), {}, NAMES))

    def aliases() -> dict[str, str]:
        held = client.get_registered_model(MODEL).aliases
        return {name: client.get_model_version(MODEL, n).tags["bundle_version"] for name, n in held.items()}

    assert aliases() == {"challenger": "v2"}
    registry.set_champion("v1", "v0")
    assert aliases() == {"champion": "v1", "challenger": "v2"}
    for _ in range(2):
        registry.set_champion("v2", "v1")
        assert aliases() == {"champion": "v2", "previous": "v1"}
    registry.set_champion("v1", "v2")
    assert aliases() == {"champion": "v1", "previous": "v2"}


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_error_of_the_tracker_is_unavailable(store: str, tmp_path: Path) -> None:
    from shared.adapters.mlflow.tracking import MlflowRuns

    runs = MlflowRuns(store, tmp_path.as_uri())
    with pytest.raises(Unavailable):
        runs.finish("no-such-run", None)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
def test_error_of_the_database_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from sqlalchemy.exc import OperationalError

    from shared.adapters.mlflow.tracking import MlflowRegistry

    def away(_: str) -> None:
        raise OperationalError("SELECT 1", {}, Exception("unable to open database file"))

    monkeypatch.setattr(mlflow, "MlflowClient", away)
    with pytest.raises(Unavailable, match="unable to open"):
        MlflowRegistry("postgresql://away")


@pytest.mark.usefixtures("_quiet")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("failure", [Forbidden("pix may not create objects"), RefreshError("no credentials")])
def test_error_of_the_artifact_bucket_is_unavailable(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    from shared.adapters.mlflow.tracking import MlflowRuns

    def refuses(*_: object, **__: object) -> None:
        raise failure

    runs = MlflowRuns(store, tmp_path.as_uri())
    run_id = runs.start({"trigger": "manual", "as_of": "2026-11-20"})
    monkeypatch.setattr(LocalArtifactRepository, "log_artifacts", refuses)
    with pytest.raises(Unavailable, match=type(failure).__name__):
        runs.finish(run_id, RunReport("v1", {}, {}, {}, {"roc.png": b"png"}, NAMES))


def test_path_that_cannot_be_a_database_is_misconfigured_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "mlflow.db").mkdir()
    for place in (tmp_path / "file" / "mlflow.db", tmp_path / "mlflow.db"):
        with pytest.raises(Misconfigured, match="cannot be opened"):
            wiring.tracking(Settings("p", mlflow_tracking_uri=f"sqlite:///{place}"))
