"""The local cloud in a hostile shell: proxies, foreign servers, the locale C, another time zone, an odd path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.test_environment import FOREIGN
from tests.local.test_misuse import FREE_PORTS
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SHELL = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HOME": "",
    "LC_ALL": "C",
    "NO_PROXY": "bank.internal",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "TZ": "America/Sao_Paulo",
    "grpc_proxy": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start the local cloud in that shell, and return its directory."""
    base = tmp_path_factory.mktemp("start")
    home = base / "São João's cloud"
    log = base / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", *FREE_PORTS, "--pubsub=embedded", "--home", str(home)],
            env=os.environ | FOREIGN | SHELL,
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: b"is ready" in log.read_bytes() or process.poll() is not None)
        yield home
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    text = log.read_text("utf-8", "replace")
    assert "Traceback" not in text
    assert "stopped" in text


def exports(home: Path) -> dict[str, str]:
    """Return the variables that the greeting asks the user to set."""
    shell = ["bash", "-c", f"eval \"$(grep ^export '{home.parent / 'output'}')\" && env -0"]
    printed = subprocess.run(shell, env=os.environ | SHELL, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


def test_a_pix_is_scored(home: Path) -> None:
    smoke = [sys.executable, "-m", "infra.deploy.smoke"]
    scored = subprocess.run(smoke, env=exports(home), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert "decision" in scored.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_child_knows_a_foreign_server(home: Path) -> None:
    children = [path for path in Path("/proc").glob("[0-9]*/environ") if _belongs(path, home)]
    assert len(children) >= 3  # the functions
    for child in children:
        assert b"company" not in child.read_bytes(), child


def _belongs(path: Path, home: Path) -> bool:
    """Return True if a process was started for the cloud in `home`: its tracking URI is there."""
    try:
        return f"MLFLOW_TRACKING_URI=sqlite:///{home}".encode() in path.read_bytes()
    except OSError:
        return False
