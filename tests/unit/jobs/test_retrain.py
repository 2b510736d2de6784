"""The retraining job takes the measured share of recovered amounts into its costs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs import retrain
from jobs.cli import wiring
from shared.adapters.memory.serving import MemoryBlobs
from shared.learning import config
from shared.learning.config import Config
from shared.learning.lifecycle import recovery, retraining
from shared.learning.lifecycle.request import RetrainingResult

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
ASSUMED = config.load(Path(retrain.__file__).with_name("config.yaml")).costs


@pytest.fixture
def blobs(monkeypatch: pytest.MonkeyPatch) -> MemoryBlobs:
    """The bucket of models, while a retraining only records its configuration."""
    bucket = MemoryBlobs()
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    monkeypatch.setenv("PIX_HMAC_KEY", "a key of the tests that is long enough")
    monkeypatch.setattr(wiring, "services", lambda _settings, _engine: SimpleNamespace(blobs=bucket))
    monkeypatch.setattr(wiring, "now", lambda: NOW)

    def recorded(_services: object, settings: Config, *_more: object) -> RetrainingResult:
        return RetrainingResult("PUBLISHED", [f"{settings.costs.payer.recovered} {settings.costs.payee.recovered}"])

    monkeypatch.setattr(retraining, "retrain", recorded)
    return bucket


@pytest.mark.parametrize(
    "arguments", [["--engine", "spark", "--snapshot", "0" * 64], ["--master", "local[2]"], ["--engine", "dask"]]
)
def test_an_engine_and_its_options_do_not_contradict(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        retrain.main(arguments)
    assert stopped.value.code == 2
    assert "engine" in capsys.readouterr().err


@pytest.mark.usefixtures("blobs")
def test_without_java_spark_fails_with_a_word_on_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert retrain.main(["--engine", "spark"]) == 1
    assert "Java 17" in capsys.readouterr().out


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert retrain.main(list(arguments)) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_the_configured_share_holds_until_one_was_measured(
    blobs: MemoryBlobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assumed = {"payer": ASSUMED.payer.recovered, "payee": ASSUMED.payee.recovered}
    configured = [f"{assumed['payer']} {assumed['payee']}"]
    found = run(capsys)
    assert (found["reasons"], found["recovered"], found["recovery_measured_at"]) == (configured, assumed, None)

    recovery.publish(recovery.Recovery(0.21, 0.1, 0.3, 150, 9000.0, NOW), blobs)
    found = run(capsys)
    assert (found["reasons"], found["recovery_measured_at"]) == (["0.21 0.21"], "2026-11-20T00:00:00Z")
    assert run(capsys, "--recovered", "configured")["reasons"] == configured
