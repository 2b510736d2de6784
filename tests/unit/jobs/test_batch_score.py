"""The exit codes and results of `jobs.batch_score`."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from jobs import batch_score
from jobs.cli import wiring
from shared.adapters.memory.learning import MemoryExports
from shared.batch import run
from shared.batch.output import MANIFEST
from shared.errors import Unavailable
from shared.learning.judging.backtest import Backtest
from shared.scoring.bundle import POINTER, Pointer, path
from tests.unit.batch.worlds import ROWS, bucket, labelled, whole, written
from tests.unit.learning.bundles import small_bundle


class Desk:
    """An operator's shell, with a bucket of one version."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.blobs, self.folder, self._capsys = bucket(), folder, capsys

    def run(self, *arguments: str, version: str = "v1", out: str = "out") -> tuple[int, dict[str, Any]]:
        code = batch_score.main([version, "--out", str(self.folder / out), *arguments])
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out.splitlines()[-1])
        return code, result


@pytest.fixture
def desk(
    restored_process: None,  # noqa: ARG001 (a fixture for its effect)
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Desk:
    desk = Desk(capsys, tmp_path)
    monkeypatch.setattr(wiring, "blobs", lambda _: desk.blobs)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "bank")
    return desk


def test_labelled_rows_are_scored_and_judged_against_what_serves(desk: Desk) -> None:
    for name, data in small_bundle("v0", slope=-1.0).items():
        desk.blobs.write(path("v0", name), data, 0)
    desk.blobs.write(POINTER, msgspec.json.encode(Pointer(version="v0", swapped_at="2026-01-01T00:00:00Z")), 0)
    code, found = desk.run("--features", written(desk.folder / "in.parquet", labelled()))
    assert (code, found["outcome"], found["rows"], sum(found["decisions"].values())) == (0, "SCORED", ROWS, ROWS)
    report = msgspec.json.decode((desk.folder / "out" / "report.json").read_bytes(), type=Backtest)
    assert [one.name for one in report.contenders] == ["v1", "v0", "the rules alone"]
    assert [one.name for one in report.savings] == ["v0", "the rules alone"]
    assert found["report"]["cost_brl"] == {one.name: round(one.cost, 2) for one in report.contenders}
    page = (desk.folder / "out" / "report.html").read_text("utf-8")
    assert "Back-test of v1" in page
    manifest = json.loads((desk.folder / "out" / MANIFEST).read_bytes())
    assert {"report.html", "report.json"} < {file["name"] for file in manifest["files"]}
    assert manifest["decisions"] == found["decisions"]


def test_rows_without_verdicts_have_no_costs(desk: Desk) -> None:
    rows = labelled(200).drop_columns(["verdict"])
    code, found = desk.run("--features", written(desk.folder / "in.parquet", rows))
    assert (code, found["report"]) == (0, {"missing": "the rows have no column verdict"})
    assert "report.json" not in whole(desk.folder / "out")


def test_a_period_of_the_table_is_scored_and_its_training_sample_judged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = MemoryExports(labelled(2_000), 2)
    counts = {"rows": 2_000, "labels": 2_000, "frauds": 60, "kept": 60, "first_at": None}
    monkeypatch.setattr(wiring, "exports", lambda _: exports)
    monkeypatch.setattr(wiring, "queries", lambda _: SimpleNamespace(rows=lambda *_: [counts]))
    monkeypatch.setattr(wiring, "now", lambda: dt.datetime(2026, 11, 20, tzinfo=dt.UTC))
    period = "--from", "2026-01-10", "--to", "2026-02-01T12:00:00Z"
    code, found = desk.run(*period)
    assert (code, found["outcome"]) == (0, "SCORED")
    assert 600 < found["rows"] < 900
    assert found["report"]["rows"] == found["rows"]
    monkeypatch.setattr(wiring, "now", lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    assert "days old" in desk.run(*period, out="young")[1]["report"]["missing"]
    exports.away = True
    code, found = desk.run(*period, out="away")
    assert (code, found["error"]) == (1, "Unavailable")


def test_an_empty_period_is_no_failure(desk: Desk) -> None:
    place = written(desk.folder / "in.parquet", labelled(100))
    code, found = desk.run("--features", place, "--from", "2020-01-01", "--to", "2020-02-01")
    assert (code, found["outcome"], found["rows"], found["files"]) == (0, "EMPTY", 0, 0)
    assert "no costs" in found["report"]["missing"]
    assert list(whole(desk.folder / "out")) == [MANIFEST]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda desk: desk.blobs.objects.clear(), "BundleRefused"),
        (lambda desk: desk.blobs.objects.pop("models/v1/model.onnx"), "BundleRefused"),
        (lambda desk: setattr(desk.blobs, "away", True), "Unavailable"),
        (lambda desk: (desk.folder / "in.parquet").write_text("x"), "Misconfigured"),
        (lambda desk: (desk.folder / "in.parquet").unlink(), "Misconfigured"),
    ],
)
def test_a_bad_version_or_input_fails_and_leaves_no_result(desk: Desk, spoil: Any, error: str) -> None:
    place = written(desk.folder / "in.parquet", labelled(100))
    spoil(desk)
    code, found = desk.run("--features", place)
    assert (code, found["outcome"], found["error"]) == (1, "FAILED", error)
    assert whole(desk.folder / "out") == {}


def test_a_whole_result_is_not_overwritten(desk: Desk) -> None:
    place = written(desk.folder / "in.parquet", labelled(100))
    assert desk.run("--features", place)[0] == 0
    before = whole(desk.folder / "out")
    code, found = desk.run("--features", place)
    assert (code, found["error"]) == (1, "Misconfigured")
    assert whole(desk.folder / "out") == before


def test_a_failure_on_the_way_leaves_nothing_that_looks_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise Unavailable("the storage is away")

    monkeypatch.setattr(run.BatchRun, "finished", failing)
    code, _ = desk.run("--features", written(desk.folder / "in.parquet", labelled(100)))
    assert code == 1
    assert whole(desk.folder / "out") == {}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--from", "yesterday"],
        ["--from", "2026-02-01", "--to", "2026-02-01"],
        ["--from", "2026-02-01", "--master", "local[2]"],
        ["--from", "2026-02-01", "--engine", "spark", "--reader-option", "bigquery"],
        ["--from", "2026-02-01", "--span-hours", "5"],
        ["--from", "2026-02-01", "--workers", "0"],
    ],
)
def test_options_that_make_no_sense_are_refused(desk: Desk, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        desk.run(*arguments)
    assert not (desk.folder / "out").exists()


def test_a_signal_ends_it_without_a_result(tmp_path: Path) -> None:
    """The program decides parts until it is told that one is done, and gets the signal then."""
    place = written(tmp_path / "in.parquet", labelled(400), 20)
    program = f"""
import os, signal, sys
from jobs import batch_score
from jobs.cli import interruption, wiring
from shared.batch import inputs, run
from tests.unit.batch.worlds import bucket

decided = run.BatchRun.scored
def scored(self, *rest):
    yield from decided(self, *rest)
    os.kill(os.getpid(), signal.SIGTERM)
run.BatchRun.scored = scored
wiring.blobs = lambda _: bucket()
interruption.leave(batch_score.main(["v1", "--features", {place!r}, "--out", {str(tmp_path / "out")!r}]))
"""
    environment = {**os.environ, "GOOGLE_CLOUD_PROJECT": "bank", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["outcome"] == "INTERRUPTED"
    assert whole(tmp_path / "out") == {}
