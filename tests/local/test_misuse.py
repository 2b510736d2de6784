"""Ways to start the local cloud wrongly: each is answered with one line, and none with a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.local.errors import DOCTOR, LocalCloudError
from infra.local.loopback import PORTS
from infra.local.valkey import launch

ROOT = Path(__file__).parents[2]
FREE_PORTS = [word for name in PORTS for word in (f"--{name.replace('_', '-')}-port", "0")]


class Misuse(NamedTuple):
    """Options after free ports, variables, and the answer; `{taken}` is a port in use, `{file}` a file."""

    options: list[str]
    answer: str
    variables: dict[str, str] = {}  # noqa: RUF012 - read only


TABLE = {
    "port in use": Misuse(["--state-port={taken}"], 'make up: port {taken} is in use. ARGS="--state-port 0"'),
    "not a port": Misuse(["--score-port=70000"], "make up: port 70000 cannot be used"),
    "negative port": Misuse(["--score-port=-1"], "make up: port -1 cannot be used"),
    "home below a file": Misuse(["--home={file}/cloud"], "{file}"),
    "home is a device": Misuse(["--home=/dev/null"], "/dev/null"),
    "home in /proc": Misuse(["--home=/proc/pix"], "/proc/pix"),
    "no emulator of Google": Misuse(
        ["--pubsub=google"],
        "make up: Google's Pub/Sub emulator was not found. It needs Java",
        {"JAVA_HOME": "/nowhere", "CLOUDSDK_ROOT_DIR": "/nowhere"},
    ),
}


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """Return a port on which a program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("misuse", TABLE.values(), ids=TABLE)
def test_a_wrong_start_is_answered_with_one_line(misuse: Misuse, taken: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    options = [option.format(taken=taken, file=file) for option in misuse.options]
    ended = subprocess.run(
        [sys.executable, "-m", "infra.local", *FREE_PORTS, f"--home={tmp_path / 'cloud'}", *options],
        env=os.environ | misuse.variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = (ended.stdout + ended.stderr).splitlines()
    assert ended.returncode == 1, lines
    assert len(lines) == 1, lines
    assert misuse.answer.format(taken=taken, file=file) in lines[0]
    assert lines[0].endswith(DOCTOR)


def test_a_missing_store_of_history_is_answered_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "find_server", lambda _kind: None)
    with pytest.raises(LocalCloudError, match="install Valkey or Redis"):
        launch.valkey_server(tmp_path)
