"""Each job ends by a signal at any moment with one line, its result and the code of the signal."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli.interruption import SIGNALS, Interrupted, deferred, interruptible
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[3]
JOBS = {
    "batch_score": ["v1", "--from", "2026-01-01", "--out", "out"],
    "drift": [],
    "erase": ["--dry-run"],
    "promote": ["v1"],
    "redrive": ["transactions"],
    "replay": ["tables", "--state-out", "state"],
    "retire": [],
    "retrain": [],
    "rollback": [],
    "skew": ["--all"],
    "snapshot": [],
}
MOMENTS = random.Random(7)


@pytest.fixture
def silence() -> Iterator[int]:
    """Return the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def environment(port: int, home: Path) -> dict[str, str]:
    address = f"127.0.0.1:{port}"
    return {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": str(ROOT),
        "GOOGLE_CLOUD_PROJECT": "pix-test",
        "STORAGE_EMULATOR_HOST": f"http://{address}",
        "BIGQUERY_EMULATOR_HOST": f"http://{address}",
        "BIGQUERY_STORAGE_EMULATOR_HOST": address,
        "PUBSUB_EMULATOR_HOST": address,
        "MLFLOW_TRACKING_URI": f"http://{address}",
        "PIX_HMAC_KEY": "a key of the tests that is long enough",
    }


def catches(pid: int) -> bool:
    """Return whether a process has handlers for all signals: it is past the start of the interpreter."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    caught = int(fields["SigCgt"], 16)
    return all(caught >> (number - 1) & 1 for number in SIGNALS)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads handled signals from /proc")
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("job", JOBS)
def test_a_signal_ends_a_job_with_one_line(job: str, number: signal.Signals, silence: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", f"jobs.{job}", *JOBS[job]],
        env=environment(silence, tmp_path),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(lambda: catches(process.pid))
            if job == "erase" and MOMENTS.random() < 0.7:  # else it still waits for the tax id
                assert process.stdin is not None
                process.stdin.write("12345678909\n")
                process.stdin.close()
                process.stdin = None
            time.sleep(MOMENTS.uniform(0, 2))  # any moment will do
            process.send_signal(number)
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert "Traceback" not in errors, errors
    assert errors.splitlines()[-1] == f"interrupted by {number.name}"
    assert json.loads(output.splitlines()[-1])["outcome"] == "INTERRUPTED"
    assert process.returncode == 128 + number


DROPPED = """
import time
from jobs.cli import console, interruption

class Destroyed:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(600)  # an exception from here goes nowhere

@console.command
def main():
    Destroyed()
    time.sleep(600)
    return 0

interruption.leave(main())
"""
SLOW = """
import threading, time
from jobs.cli import console, interruption

@console.command
def main():
    threading.Thread(target=time.sleep, args=(600,)).start()  # the end waits for no computation
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        time.sleep(600)
    return 0

interruption.CLEAN_UP_SECONDS = 0.2
interruption.leave(main())
"""
FAILING = """
import time
from jobs.cli import console, interruption
from shared.errors import Unavailable

def job():
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        raise Unavailable("the clean-up failed")

@console.command
def main():
    return console.run(job)

interruption.leave(main())
"""


@pytest.mark.parametrize("code", [DROPPED, SLOW, FAILING], ids=["dropped", "slow clean-up", "failing clean-up"])
def test_no_state_of_the_program_outlasts_a_signal(code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.terminate()
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert errors == "interrupted by SIGTERM\n"
    assert json.loads(output)["outcome"] == "INTERRUPTED"
    assert process.returncode == 143


def test_nohup_keeps_a_job_alive_at_a_hangup() -> None:
    code = "import os, signal\nfrom jobs.cli import console\n@console.command\ndef main():\n"
    code += "    os.kill(os.getpid(), signal.SIGHUP)\n    return 5\nraise SystemExit(main())"
    wrapper = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    assert subprocess.run([*wrapper, sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 5


def test_a_signal_is_held_back_while_a_child_starts() -> None:
    with interruptible():
        steps = []
        with pytest.raises(Interrupted, match="interrupted by SIGTERM"):  # noqa: PT012 (its place is the point)
            with deferred():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
                steps.append("started")
            steps.append("not reached")
    assert steps == ["started"]
