"""The life-cycle jobs over local BigQuery, Cloud Storage and MLflow."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from infra.deploy.migrate import make
from infra.local.bigquery.launch import BigQueryServer
from jobs import batch_score, drift, promote, retire, rollback
from jobs.cli import wiring
from shared.contract import tables as contract
from shared.contract.event import EPOCH, micros
from shared.contract.fields import NOBODY
from shared.contract.rows import FEATURE_PREFIX, LedgerRow
from shared.learning.lifecycle.pointer import publish, read_pointer
from shared.settings import Settings
from tests.contract.local_servers import HERE, PROJECT, local_bigquery, storage_client
from tests.contract.rows import Field, Writer
from tests.model_keys import signing
from tests.unit.learning.bundles import NAMES, small_bundle

AS_OF = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
ROWS = 1_500
PERIODS, PERIOD = 5, dt.timedelta(hours=2)
SCORED = {
    "end_to_end_id": (Field.TYPE_STRING, False),
    "initiated_at": (Field.TYPE_INT64, False),
    "scored_at": (Field.TYPE_INT64, False),
    "payer_ispb": (Field.TYPE_STRING, False),
    "decision": (Field.TYPE_STRING, False),
    "model_version": (Field.TYPE_STRING, False),
    "score": (Field.TYPE_DOUBLE, False),
    "late": (Field.TYPE_BOOL, False),
    "degraded": (Field.TYPE_BOOL, False),
    "history_sequence": (Field.TYPE_INT64, False),
    **{FEATURE_PREFIX + name: (Field.TYPE_DOUBLE, False) for name in NAMES},
}

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own imports warn


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of jobs in a cloud with versions v1 and v2, and rows of a day scored by v2."""
    folder = tmp_path_factory.mktemp("life-cycle")
    objects = folder / "objects"
    with (
        storage_client(objects, folder / "log") as storage,
        local_bigquery(folder / "state", objects) as (server, client),
    ):
        for bucket in ("pix-models", "pix-data"):
            storage.create_bucket(bucket)
        make(client, "pix", contract.tables())
        append_rows(server)
        yield {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "BIGQUERY_EMULATOR_HOST": server.rest_url,
            "BIGQUERY_STORAGE_EMULATOR_HOST": server.grpc_endpoint,
            "STORAGE_EMULATOR_HOST": storage.api_endpoint,
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            **signing(folder),
        }


def append_rows(server: BigQueryServer) -> None:
    """Append Pix of PERIODS, whose first feature moves in the last, an older one, and one of a smoke test."""
    rng = np.random.default_rng(0)
    rows = []
    for period in range(PERIODS):
        until, shift = AS_OF - (PERIODS - 1 - period) * PERIOD, 2 * (period == PERIODS - 1)
        rows += [
            row(period * ROWS + i, until - dt.timedelta(minutes=i % 100 + 1), rng.normal([shift, 0, 0]))
            for i in range(ROWS)
        ]
    rows.append(row(len(rows), AS_OF - dt.timedelta(days=2), np.zeros(3)))
    rows.append(row(len(rows), AS_OF - dt.timedelta(minutes=1), np.zeros(3)) | {"payer_ispb": NOBODY})
    writer = Writer(server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/score_events", SCORED)
    assert writer.append(rows) == ""
    writer.close()


def row(number: int, at: dt.datetime, values: np.ndarray) -> dict[str, Any]:
    return {
        "end_to_end_id": f"E{number}",
        "initiated_at": micros(at),
        "scored_at": micros(at),
        "payer_ispb": "12345678",
        "decision": "HOLD" if number % 100 == 0 else "APPROVE",
        "model_version": "v2",
        "score": 1 / (1 + np.exp(-values.sum())),
        "late": False,
        "degraded": number % 10 == 0,
        "history_sequence": number,
        **{FEATURE_PREFIX + name: float(value) for name, value in zip(NAMES, values, strict=True)},
    }


def run(capsys: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    assert code == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_promotion_rollback_drift_and_retirement(
    cloud: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, value in cloud.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env(cloud)
    blobs, ledger = wiring.blobs(settings), wiring.ledger(settings)
    for version in ("v0", "v1", "v2"):
        publish(blobs, version, small_bundle(version, **training_facts(version)))
    check_promotion_and_rollback(capsys)
    assert read_pointer(blobs).version == "v2"
    impatient = tmp_path / "config.yaml"
    shipped = Path(drift.__file__).with_name("config.yaml").read_text("utf-8")
    impatient.write_text(shipped.replace("movements_min: 14", "movements_min: 2"), "utf-8")
    reasons = check_drift(capsys, impatient)
    check_retirement(capsys)
    check_batch_score(capsys, tmp_path / "decided")
    assert blobs.listed("models/v0/") == []
    check_ledger(ledger.rows(EPOCH), reasons)


def training_facts(version: str) -> dict[str, Any]:
    """Return fields of the manifest of a version."""
    return {"run_id": f"run of {version}", "dataset_hash": "h", "trigger": "drift", "as_of": AS_OF.isoformat()}


def check_promotion_and_rollback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, promote.main(["v1", "--reason", "the first"]))["outcome"] == "PROMOTED"
    assert run(capsys, promote.main(["v2"]))["from_version"] == "v1"
    assert run(capsys, promote.main(["v2"]))["outcome"] == "ALREADY_SERVES"
    assert run(capsys, rollback.main([]))["version"] == "v1"
    assert run(capsys, rollback.main([]))["version"] == "v2"
    assert promote.main(["v9"]) == 1


def check_drift(capsys: pytest.CaptureFixture[str], impatient: Path) -> list[str]:
    """Check the drift of the appended rows, and return its reasons; `impatient` settings know habits early."""
    for period in range(PERIODS):
        until = AS_OF - (PERIODS - 1 - period) * PERIOD
        options = ["--as-of", until.isoformat(), "--hours", "2", "--config", str(impatient)]
        found = run(capsys, drift.main(options))
        assert found["outcome"] == ("DRIFT" if until == AS_OF else "STEADY")
    assert found["traffic"]["rows"] == found["sampled"] == ROWS
    assert found["traffic"]["degraded"] == pytest.approx(0.1)
    assert found["traffic"]["alerts"] == pytest.approx(0.01)
    assert {name for name, value in found["psi"].items() if value > found["limits"].get(name, 1)} == {
        NAMES[0],
        "score",
    }
    assert [each.split(": ")[1].split()[0] for each in found["reasons"]] == ["score", NAMES[0]]
    assert run(capsys, drift.main(["--as-of", "2026-01-01"]))["outcome"] == "NOTHING_TO_DO"
    reasons: list[str] = found["reasons"]
    return reasons


def check_retirement(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--keep", "0", "--days", "0"]
    assert run(capsys, retire.main([*options, "--dry-run"]))["retired"] == ["v0"]
    assert run(capsys, retire.main(options))["retired"] == ["v0"]


def check_batch_score(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Check that the appended rows but that of the smoke test are decided again, by the rows of the table alone."""
    since = AS_OF - PERIODS * PERIOD
    found = run(capsys, batch_score.main(["v1", "--from", since.isoformat(), "--out", str(folder)]))
    assert (found["outcome"], found["rows"]) == ("SCORED", PERIODS * ROWS)
    assert sum(found["decisions"].values()) == PERIODS * ROWS
    assert "days old" in found["report"]["missing"]
    [file] = folder.glob("part-*.parquet")
    decided = pq.read_table(file)
    assert sorted(decided["end_to_end_id"].to_pylist()) == sorted(f"E{number}" for number in range(PERIODS * ROWS))
    assert set(decided["model_version"].to_pylist()) == {"v1"}


def check_ledger(rows: Sequence[LedgerRow], reasons: list[str]) -> None:
    published = [row for row in rows if row.action == "PUBLISH"]
    assert [row.to_version for row in published] == ["v0", "v1", "v2"]
    assert [event(row) for row in rows if row.action != "PUBLISH"] == [
        ("SWAP", None, "v1", "the first"),
        ("SWAP", "v1", "v2", "promoted by hand"),
        ("ROLLBACK", "v2", "v1", "rolled back by hand"),
        ("ROLLBACK", "v1", "v2", "rolled back by hand"),
        ("DRIFT", None, "v2", reasons[0]),
        ("FEATURE_DRIFT", None, "v2", reasons[1]),
        ("RETIRE", None, "v0", "nothing has named it for 0 days"),
    ]
    assert {(row.run_id, row.trigger, row.as_of) for row in rows if row.to_version == "v1"} == {
        ("run of v1", "drift", micros(AS_OF))
    }


@pytest.mark.parametrize(
    ("entry_point", "given", "outcome"),
    [("retrain", {}, "NOTHING_TO_DO"), ("drift", {"as_of": "2026-01-01", "hours": "1"}, "NOTHING_TO_DO")],
)
def test_mlflow_runs_the_jobs_as_a_project(
    cloud: dict[str, str], entry_point: str, given: dict[str, str], outcome: str
) -> None:
    parameters = [part for name, value in given.items() for part in ("-P", f"{name}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", "jobs", "-e", entry_point, "--env-manager", "local", *parameters],
        env={**os.environ, **cloud, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["outcome"] == outcome


def event(row: LedgerRow) -> tuple[str, str | None, str | None, str]:
    return row.action, row.from_version, row.to_version, row.reason
