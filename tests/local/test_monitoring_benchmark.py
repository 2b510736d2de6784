"""The benchmark of jobs.monitor over a whole local cloud, with few rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.monitoring.__main__ import main


def test_a_small_day_is_multiplied_and_measured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "1000", "--pix", "500", "--ages", "87", "--folder", str(tmp_path)]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["rows"] == 1_000
    assert found["outcomes"] >= found["rows"]
    assert 0 < found["reports"] < found["rows"] / 2
    assert list(found["runs"]) == ["none", "day", "87"]
    rows = {name: run["rows"] for name, run in found["runs"].items()}
    assert rows["none"] == 8  # a day and seven ages, each without Pix
    assert rows["day"] > 500  # traffic, and some measures of each input
    assert rows["87"] > rows["none"]
    assert found["health_rows"] == rows["day"] + rows["87"]
    assert found["job_peak_mb"] > 0
    assert not list(tmp_path.iterdir())
