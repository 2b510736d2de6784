"""`make up` as it is used: beside a second one, with traffic, and stopped by Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from infra.local.errors import DOCTOR
from infra.local.home import Owner, mark, owner
from infra.local.loopback import free_port
from infra.local.prometheus.launch import PROGRAM
from tests.waiting import PATIENCE, until

QUERY = "SELECT COUNT(*) AS n FROM pix.scores"


@contextmanager
def started(module: str, home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command of the local cloud beside the block, and end it however the block ends."""
    argv = [sys.executable, "-m", module, "--home", str(home), *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def run(module: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", module, "--home", str(home), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)


def ready(home: Path) -> Owner | None:
    found = owner(home)
    return found if found and found.exports else None


def settled(home: Path) -> int:
    return count(home, "SELECT COUNT(*) AS n FROM pix.life WHERE outcome = 'SETTLED'")


def count(home: Path, sql: str = QUERY) -> int:
    done = run("infra.local.query", home, sql)
    assert done.returncode == 0, done.stdout
    return int(done.stdout.split("│")[1])


def jobs(port: int) -> set[str]:
    """Return the functions whose metrics Prometheus has."""
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": "pix_messages_total"})
    return {each["metric"]["job"] for each in answer.json()["data"]["result"]}


@pytest.mark.timeout(900)
def test_beside_a_running_one_nothing_is_harmed_and_traffic_flows(tmp_path: Path) -> None:
    home = tmp_path / "wörld d'or"
    port = free_port()
    watched = ["--prometheus", str(port)] if shutil.which(PROGRAM) else []
    with started("infra.local", home, "--free-ports", "--pubsub", "embedded", *watched) as up:
        found = until(lambda: up.poll() is None and ready(home))
        assert found
        assert found.pid == up.pid
        before = sorted(path.name for path in home.iterdir())
        for module, arguments in (("infra.local", ["--fresh"]), ("infra.local.demo", [])):
            second = run(module, home, *arguments)
            assert second.returncode == 1
            (line,) = second.stdout.splitlines()
            assert f"in use by process {up.pid} (make up)" in line
            assert second.stderr == ""
        assert sorted(path.name for path in home.iterdir()) == before

        with started("infra.local.traffic", home, "--rate", "50") as traffic:
            until(lambda: count(home) >= 10)
            until(lambda: settled(home) > 0)
            if watched:
                until(lambda: {"pix-score", "pix-outcome"} <= jobs(port))
            traffic.send_signal(signal.SIGINT)
            output = traffic.communicate(timeout=PATIENCE)[0]
        assert traffic.returncode == 130
        assert output.splitlines()[-1].startswith("stopped; published ")
        assert "Traceback" not in output

        up.send_signal(signal.SIGINT)
        output = up.communicate(timeout=PATIENCE)[0]
    assert up.returncode == 130
    assert output.splitlines()[-1] == "stopped"
    assert "No world in" in output
    assert "No model serves, so rules alone decide; `make demo` makes a world with one." in output
    assert owner(home) is None
    assert not os.path.lexists(f"{home}.lock")


def test_a_port_in_use_is_a_line_and_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "world"
    mark(home)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("infra.local", home, "--fresh", "--pubsub-port", str(port))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f'make up: port {port} is in use. ARGS="--pubsub-port 0" after the command takes a free one. {DOCTOR}'
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_a_query_that_is_wrong_is_a_line(tmp_path: Path) -> None:
    done = run("infra.local.query", tmp_path / "world", QUERY)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [f"query: nothing runs here. Start `make up` in another shell first. {DOCTOR}"]


def test_the_pages_of_mlflow_need_a_world(tmp_path: Path) -> None:
    done = run("infra.local.mlflow_page", tmp_path / "world")
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    assert line.endswith(f"has no trained model to show. `make demo` makes a world with two. {DOCTOR}")
