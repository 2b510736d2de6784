"""A signal ends the demo, the local cloud and the simulator with one line, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.cli.interruption import SIGNALS
from tests.unit.event_files import stream
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]
ONNX_SESSION = ".ses"  # a file of 51 bytes that onnxruntime keeps for good in the folder for temporary files

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")


def marked(folder: Path) -> list[str]:
    """Return the processes that have inherited TMPDIR from the program under test."""
    mark = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or belongs to another user
            continue
    return found


class Program:
    """A program in a session of its own, whose output goes to a file."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.temporary, self.log = folder / "temporary", folder / "output"
        self.temporary.mkdir()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def shows(self, text: str) -> None:
        """Wait until it has printed a text."""
        until(lambda: text in self.output() or self.process.poll() is not None)
        assert self.process.poll() is None, self.output()

    def output(self) -> str:
        return self.log.read_text()

    def ended_by(self, number: signal.Signals) -> str:
        """Send a signal, check that nothing is left, and return the last line."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE) == 128 + number, self.output()
        assert "Traceback" not in self.output()
        assert [each for each in self.temporary.iterdir() if each.name != ONNX_SESSION] == []
        until(lambda: not marked(self.temporary))
        return self.output().splitlines()[-1]


@contextmanager
def running(folder: Path, *command: str) -> Iterator[Program]:
    program = Program(folder, *command)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.wait()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_demo_while_it_simulates(number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path, "infra.local.demo", "--home", str(tmp_path / "world")) as demo:
        until(lambda: list(tmp_path.glob("world.new-*/events*")))
        assert demo.ended_by(number) == "interrupted; everything is stopped"
    assert not list(tmp_path.glob("world.new-*"))


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("step", ["starting BigQuery", "training on"])
def test_a_signal_ends_the_demo_and_its_cloud(number: signal.Signals, step: str, tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_bytes(b"".join(stream()))
    home = str(tmp_path / "world")
    with running(tmp_path, "infra.local.demo", "--home", home, "--events", str(events), "--live", "12") as demo:
        demo.shows(step)
        assert demo.ended_by(number) == "interrupted; everything is stopped"
    assert not list(tmp_path.glob("world.new-*"))


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", ["starts", "is ready"])
def test_a_signal_ends_the_local_cloud(number: signal.Signals, moment: str, tmp_path: Path) -> None:
    names = ("pubsub", "storage", "bigquery", "bigquery-grpc", "state", "score", "outcome", "label")
    ports = [word for name in names for word in (f"--{name}-port", "0")]
    home = tmp_path / "cloud"
    with running(tmp_path, "infra.local", "--pubsub", "embedded", "--home", str(home), *ports) as cloud:
        if moment == "starts":
            until(lambda: len(marked(cloud.temporary)) > 2)  # itself, its reaper, and a server
        else:
            cloud.shows("The local cloud is ready")
        assert cloud.ended_by(number) == "stopped"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_simulator(number: signal.Signals, tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    with running(tmp_path, "infra.local.simulator", "--transactions", "5000000", "--out", str(events)) as simulator:
        until(events.exists)
        assert simulator.ended_by(number) == f"interrupted by {number.name}; {events} is not complete"
