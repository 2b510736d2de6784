"""Spark divides the work among its tasks, and the result is the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.adapters.spark import session as sessions
from shared.adapters.spark.engine import SparkEngine, SparkRows, SparkSource
from shared.adapters.spark.failures import ours
from shared.adapters.spark.replay import SparkReplay
from shared.batch.inputs import Inputs, inputs
from shared.batch.run import Engine, LocalEngine, decide_all, manifest
from shared.contract.event import micros
from shared.errors import BundleRefused, Misconfigured, Unavailable
from shared.features.facts import VerdictCount
from shared.learning.data.split import DAY
from shared.replay.partitioned.run import Spread
from shared.scoring.bundle import Bundle
from tests.unit.adapters.spark.conftest import needs_spark
from tests.unit.batch.worlds import batch, features, labelled, silent, whole, written
from tests.unit.learning.synthetic import START
from tests.unit.learning.synthetic import silent as step
from tests.unit.replay.partitioned.worlds import Items, assert_same, replayed, replayed_in_partitions
from tests.unit.streams import ACCOUNTS, MORNING, Item, event

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[4]


def result(engine: Engine, folder: Path, rows: Inputs) -> dict[str, bytes]:
    one = batch(folder, until=micros(START) + 5 * DAY)
    found = decide_all(engine, one, rows, step)
    one.folder.seal(manifest(one, "v1", found, []))
    return whole(folder)


@needs_spark
def test_both_engines_and_readers_write_the_same_bytes(spark: SparkSession, tmp_path: Path) -> None:
    place = written(tmp_path / "in.parquet", labelled(1_500))
    of = batch(tmp_path / "of").method
    rows = inputs([place], features(of), 500)
    assert len(rows.parts) == 3
    local = result(LocalEngine(Bundle(of.files)), tmp_path / "local", rows)
    assert len(local) == 6  # five days and the manifest
    assert result(SparkEngine(spark), tmp_path / "spark", rows) == local
    reader = SparkRows(spark, SparkSource("parquet", {}, place))
    assert result(reader, tmp_path / "rows", Inputs([], ())) == local


@needs_spark
def test_a_replay_in_partitions_is_that_of_one_process(spark: SparkSession, tmp_path: Path) -> None:
    verdict = VerdictCount(ACCOUNTS[0], ACCOUNTS[1], None, MORNING, fraud=True)
    stream: list[Item] = [verdict, *(event(number % 4 + 1, (number + 1) % 5, number / 10) for number in range(12))]
    one = replayed(Items(stream, 4), tmp_path / "one")
    *other, tally = replayed_in_partitions(Items(stream, 4), tmp_path / "other", Spread(2, 8), SparkReplay(spark))
    assert_same(one, (other[0], other[1]))
    assert tally.slices == 2


@needs_spark
def test_no_rows_are_no_files(spark: SparkSession, tmp_path: Path) -> None:
    assert list(result(SparkEngine(spark), tmp_path / "out", Inputs([], ()))) == ["manifest.json"]


@needs_spark
def test_an_error_of_a_task_is_told_as_it_is(spark: SparkSession, tmp_path: Path) -> None:
    place = written(tmp_path / "in.parquet", labelled(100))
    one = batch(tmp_path / "out")
    rows = inputs([place], features(one.method))
    Path(place).unlink()
    with pytest.raises(Misconfigured, match=r"in\.parquet does not exist"):
        SparkEngine(spark).score(one, rows, silent)
    with pytest.raises(Unavailable, match="Spark"):
        SparkRows(spark, SparkSource("nobody-has-this", {})).score(one, rows, silent)
    lacking = written(tmp_path / "lacking.parquet", labelled(100).drop_columns(["f_side"]))
    with pytest.raises(Misconfigured, match="f_side"):
        SparkRows(spark, SparkSource("parquet", {}, lacking)).score(one, rows, silent)


@needs_spark
def test_progress_is_told_and_an_interruption_ends_the_tasks(spark: SparkSession, tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    one = batch(tmp_path / "out")
    rows = inputs([written(tmp_path / "in.parquet", labelled(2_000))], features(one.method), 1)
    with pytest.raises(Interrupted):
        SparkEngine(spark).score(one, rows, interrupt)
    one.folder.clear()
    assert whole(tmp_path / "out") == {}
    told: list[tuple[int, int]] = []
    assert SparkEngine(spark).score(one, rows, lambda done, total, _: told.append((done, total)))
    assert told
    assert all(0 <= done <= total == 4 for done, total in told)


def test_without_java_the_job_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Misconfigured, match="Java 17"), sessions.session(None):
        pytest.fail("it started")


def test_without_pyspark_the_job_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    for name in [name for name in sys.modules if name.startswith("pyspark")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setenv("PYSPARK_PYTHON", "")
    with pytest.raises(Misconfigured, match="make spark"), sessions.session(None):
        pytest.fail("it started")


def test_nothing_else_imports_pyspark() -> None:
    names = ("engine", "forests", "kafka", "session", "training")
    adapters = ", ".join(f"shared.adapters.spark.{name}" for name in names)
    modules = f"shared.batch.run, {adapters}, jobs.batch_score, jobs.retrain, jobs.cli.streaming, jobs.cli.training"
    code = f"import sys, {modules}; sys.exit('pyspark' in sys.modules or 'py4j' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_only_errors_of_ours_are_read_from_the_text_of_a_failure() -> None:
    assert isinstance(ours("x\nshared.errors.BundleRefused: model.onnx is missing\n"), BundleRefused)
    assert ours("shared.errors.SystemExit: x") is None or isinstance(ours("shared.errors.SystemExit: x"), Unavailable)
    assert ours("ValueError: 12345678909") is None
