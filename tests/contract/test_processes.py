"""Supervision: no process and no port outlives its owner, however child or owner end."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.errors import ChildDied, NotReadyInTime, PortInUse
from infra.local.loopback import claim_port, free_port, listens
from infra.local.processes import ChildProcess, Supervisor, answers_http, answers_tcp, prints_ready
from tests.waiting import PATIENCE, until, until_equal

ROOT = Path(__file__).parents[2]
# Listens, and has a grandchild which ignores SIGTERM.
SERVER = """
import json, signal, socket, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
grandchild = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
grandchild.stdout.readline()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("starting", flush=True)
signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
deaf = [number for number in signals if signal.getsignal(number) == signal.SIG_IGN]
print(json.dumps({"ready": True, "grandchild": grandchild.pid, "deaf": deaf}), flush=True)
while True:
    server.accept()[0].close()
"""


def runs(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    if state.exists():
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    return subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode == 0 and not Path("/proc").exists()


def server(tmp_path: Path, port: int, *, restart: bool = False) -> ChildProcess:
    argv = [sys.executable, "-c", SERVER, str(port)]
    return ChildProcess("server", argv, log_path=tmp_path / "server.log", restart=restart)


def script(tmp_path: Path, code: str) -> ChildProcess:
    return ChildProcess("script", [sys.executable, "-c", code], log_path=tmp_path / "script.log")


def test_nothing_runs_after_a_stop(tmp_path: Path) -> None:
    port = free_port()
    with Supervisor() as supervisor:
        child = server(tmp_path, port)
        details = supervisor.start(child)
        assert listens(port)
        assert runs(details["grandchild"])
    assert not listens(port)
    assert not runs(child.pid)
    until(lambda: not runs(details["grandchild"]))


def test_nothing_runs_after_an_exception(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(ZeroDivisionError):
        start_and_fail(server(tmp_path, port))
    assert not listens(port)


def start_and_fail(child: ChildProcess) -> None:
    with Supervisor() as supervisor:
        supervisor.start(child)
        raise ZeroDivisionError


OWNER = """
import json, sys
from pathlib import Path
from infra.local.processes import ChildProcess, Supervisor
with Supervisor() as supervisor:
    argv = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
    child = ChildProcess("server", argv, log_path=Path(sys.argv[3]), restart=True)
    details = supervisor.start(child)
    print(json.dumps({"child": child.pid, **details}), flush=True)
    supervisor.wait()
"""
NUMBERS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
IGNORED = "trap '' INT TERM HUP; exec \"$@\""  # as a shell ignores SIGINT in the background, and nohup SIGHUP


class Owner:
    """A process that starts the server and prints its process ids."""

    def __init__(self, wrapper: list[str], port: int, log: Path) -> None:
        argv = [*wrapper, sys.executable, "-c", OWNER, str(port), SERVER, str(log)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        self.port = port

    def started(self) -> dict[str, Any]:
        """Return the process ids that it printed."""
        assert self.process.stdout is not None
        printed: dict[str, Any] = json.loads(self.process.stdout.readline())
        return printed

    def kill(self) -> None:
        """Kill it; its reaper ends its children."""
        with self.process:
            self.process.kill()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[..., Owner]]:
    """Start owners; those still there at the end are killed."""
    owners: list[Owner] = []

    def start(*wrapper: str) -> Owner:
        owners.append(Owner(list(wrapper), free_port(), tmp_path / "server.log"))
        return owners[-1]

    yield start
    for each in owners:
        each.kill()


@pytest.mark.parametrize("number", [*NUMBERS, signal.SIGKILL])
def test_nothing_outlives_an_owner_ended_by_a_signal(owner: Callable[..., Owner], number: signal.Signals) -> None:
    check_nothing_outlives(owner(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_nothing_outlives_an_owner_started_with_signals_ignored(
    owner: Callable[..., Owner], number: signal.Signals
) -> None:
    check_nothing_outlives(owner("sh", "-c", IGNORED, "sh"), number)


def check_nothing_outlives(owner: Owner, number: signal.Signals) -> None:
    started = owner.started()
    assert started["deaf"] == [], "a child hears signals, also where its owner was started with them ignored"
    owner.process.send_signal(number)
    owner.process.wait(PATIENCE)
    until(lambda: not runs(started["child"]) and not runs(started["grandchild"]) and not listens(owner.port))


def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    port = free_port()
    with Supervisor() as supervisor:
        child = server(tmp_path, port, restart=True)
        first = supervisor.start(child)
        for restarts in (1, 2):
            killed = child.pid
            os.kill(killed, signal.SIGKILL)
            until_equal(lambda: child.restarts, restarts)
            assert child.pid != killed
            assert child.wait_ready(PATIENCE)["grandchild"] != first["grandchild"]
        until(lambda: listens(port))
        supervisor.check()
    assert not listens(port)


def test_the_pause_before_a_restart_grows_up_to_a_limit(tmp_path: Path) -> None:
    child = server(tmp_path, 0)
    child.start()
    child.stop()
    delays = []
    for child.restarts in range(20):
        delays.append(child.restart_delay())
    assert delays == sorted(delays)
    assert 0 < delays[0] < delays[3] < delays[-1] <= 5


def test_an_early_death_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with Supervisor() as supervisor, pytest.raises(ChildDied, match=r"status 3(?s:.)*no such licence"):
        supervisor.start(script(tmp_path, "print('no such licence'); raise SystemExit(3)"))


def test_a_child_that_does_not_get_ready_is_reported_and_stopped(tmp_path: Path) -> None:
    child = script(tmp_path, "import time; print('thinking', flush=True); time.sleep(600)")
    with Supervisor() as supervisor:
        with pytest.raises(NotReadyInTime, match="thinking"):
            supervisor.start(child, timeout=1)
        assert runs(child.pid)
    assert not runs(child.pid)


def test_a_later_death_of_a_child_without_restart_is_reported(tmp_path: Path) -> None:
    child = server(tmp_path, free_port())
    with Supervisor() as supervisor:
        supervisor.start(child)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(ChildDied, match="status -9"):
            supervisor.wait()


def test_children_are_stopped_newest_first(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import signal, sys, time
        def leave(*_):
            open(sys.argv[1], "a").write(sys.argv[2] + " ")
            raise SystemExit
        signal.signal(signal.SIGTERM, leave)
        print('{"ready": true}', flush=True)
        while True: time.sleep(60)
    """)
    order = tmp_path / "order"
    with Supervisor() as supervisor:
        for name in ("first", "second", "third"):
            argv = [sys.executable, "-c", code, str(order), name]
            supervisor.start(ChildProcess(name, argv, log_path=tmp_path / name))
    assert order.read_text().split() == ["third", "second", "first"]


def test_probes_hold_only_once_there_is_an_answer(tmp_path: Path) -> None:
    port = free_port()
    child = server(tmp_path, port)
    assert answers_tcp(port)(child) is None
    assert answers_http(f"http://127.0.0.1:{port}/")(child) is None
    with Supervisor() as supervisor:
        supervisor.start(child)
        assert answers_tcp(port)(child)
        assert prints_ready(child)


def test_a_port_in_use_is_named_with_the_setting_that_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} is in use.*STORAGE_PORT 0"):
            claim_port(port, "STORAGE_PORT")
        assert claim_port(0, "STORAGE_PORT") != port
    assert claim_port(port, "STORAGE_PORT") == port


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be kept for a server to come")
def test_a_claimed_port_stays_free_for_its_server() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):
        assert listens(port)
    assert not listens(port)
