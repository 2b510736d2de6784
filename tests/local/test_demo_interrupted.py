"""A demo that is stopped leaves nothing, and one that cannot run changes nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from infra.local import home as homes
from infra.local.home import mark
from tests.builders import transaction
from tests.local.test_up import run, started
from tests.waiting import PATIENCE, until


def built(home: Path, file: str) -> bool:
    """Return whether the demo has come as far as making a file of its new world."""
    return any(home.parent.glob(f"{home.name}.new-*/{file}"))


def left(home: Path) -> list[str]:
    return sorted(path.name for path in home.parent.iterdir())


@pytest.mark.parametrize(
    ("number", "stage"),
    [
        pytest.param(signal.SIGTERM, "events.ndjson", id="TERM while it simulates"),
        pytest.param(signal.SIGINT, "valkey.log", id="INT while servers start"),
        pytest.param(signal.SIGHUP, "objects/pix-data", id="HUP while the replay starts"),
    ],
)
def test_an_interrupted_demo_leaves_no_folder(number: signal.Signals, stage: str, tmp_path: Path) -> None:
    home = tmp_path / "world"
    mark(home)
    with started("infra.local.demo", home) as demo:
        until(lambda: demo.poll() is None and built(home, stage))
        demo.send_signal(number)
        output = demo.communicate(timeout=PATIENCE)[0]
    assert demo.returncode == 128 + number
    assert output.splitlines()[-1] == "interrupted; everything is stopped"
    assert "Traceback" not in output
    assert left(home) == ["world"]
    assert homes.read_marker(home) is not None


def test_what_a_killed_demo_left_is_removed_by_the_next(tmp_path: Path) -> None:
    home, foreign = tmp_path / "world", tmp_path / "world.new-mine"
    mark(tmp_path / "world.new-abc")
    foreign.mkdir()
    events = tmp_path / "events.ndjson"
    events.write_text("no event\n")
    done = run("infra.local.demo", home, "--events", str(events))
    assert done.returncode == 1
    assert "line 1" in done.stdout
    assert left(home) == ["events.ndjson", "world.new-mine"]


def test_files_of_another_program_stop_a_demo_before_its_work(tmp_path: Path) -> None:
    home, foreign = tmp_path / "world", tmp_path / "world.old"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps({"topic": "pix-transactions", "data": transaction()}))
    done: subprocess.CompletedProcess[str] = run("infra.local.demo", home, "--events", str(events))
    (line,) = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{foreign} has files that this program did not make" in line
