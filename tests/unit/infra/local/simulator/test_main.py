"""The command writes events, a summary and exit codes."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.simulator import SimulationConfig, simulate
from infra.local.simulator.__main__ import main
from tests.unit.infra.local.simulator.simulated import END


def test_the_same_options_give_the_same_bytes_in_any_process() -> None:
    options = [
        "--transactions",
        "3000",
        "--days",
        "10",
        "--end",
        END.isoformat(),
        "--seed",
        "9",
        "--quiet",
        "--both-sides",
        "0",
    ]
    runs = [
        subprocess.run(
            [sys.executable, "-m", "infra.local.simulator", *options],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert b"".join(simulate(SimulationConfig(end=END, transactions=3000, days=10, seed=9))) == runs[0]


def test_a_gz_ending_compresses_the_same_events_to_the_same_file(tmp_path: Path) -> None:
    options = ["--transactions", "800", "--days", "4", "--end", END.isoformat(), "--quiet", "--out"]
    for name in ("a.ndjson", "b.ndjson.gz", "c.ndjson.gz"):
        assert main([*options, str(tmp_path / name)]) == 0
    assert gzip.decompress((tmp_path / "b.ndjson.gz").read_bytes()) == (tmp_path / "a.ndjson").read_bytes()
    assert (tmp_path / "b.ndjson.gz").read_bytes() == (tmp_path / "c.ndjson.gz").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ["--fraud-rate", "2"],
        ["--fraud-rate", "0.1", "--realistic"],
        ["--med2", "2"],
        ["--end", "yesterday"],
        ["--transactions", "many"],
    ],
)
def test_wrong_options_end_with_status_2_and_a_reason(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--transactions", "10", "--days", "1", "--out", str(tmp_path / "none" / "x")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_the_summary_counts_kinds_and_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--transactions", "2000", "--days", "9", "--end", END.isoformat(), "--out", str(tmp_path / "x")]
    assert main(options) == 0
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("transactions", "2,000", "takeover", "scam", "MED agreed", "events in"))


def test_the_realistic_rate_is_7_in_100_000(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--transactions", "100000", "--days", "10", "--end", END.isoformat(), "--realistic"]
    assert main([*options, "--out", str(tmp_path / "x")]) == 0
    (fraud,) = (line for line in capsys.readouterr().err.splitlines() if "fraud in truth" in line)
    assert 4 <= int(fraud.split("│")[2]) <= 10
