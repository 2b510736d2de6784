"""Two trainings that open a new MLflow store at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRAINING = """
import sys
from shared.adapters.mlflow.tracking import MlflowRegistry, MlflowRuns
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
uri, artifacts = sys.argv[1:]
runs = MlflowRuns(uri, artifacts)
MlflowRegistry(uri)
print(runs.start({"trigger": "first", "as_of": "now"}))
"""
ROOT = Path(__file__).parents[2]


def training(tmp_path: Path) -> subprocess.Popen[str]:
    arguments = [f"sqlite:///{tmp_path / 'mlflow.db'}", (tmp_path / "artifacts").as_uri()]
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_both_first_trainings_get_their_runs(tmp_path: Path) -> None:
    trainings = [training(tmp_path) for _ in range(3)]
    for each in trainings:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    for each in trainings:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    answers = [each.communicate() for each in trainings]
    assert [each.returncode for each in trainings] == [0, 0, 0], answers
    assert len({run for run, _ in answers}) == 3
