"""A local Valkey of either kind as a child process: a real server where one is installed, or the embedded one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Literal

from infra.local.errors import LocalCloudError
from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, answers_tcp

Kind = Literal["installed", "embedded"]
SETTING = "--state-port"
_PROGRAMS = ("valkey-server", "redis-server")
_ROOT = Path(__file__).resolve().parents[2]  # where `python -m infra...` finds the package


class ValkeyServer:
    """A local Valkey that is about to run: `url` is what PIX_STATE wants, `kind` which one it is."""

    def __init__(self, kind: Kind, port: int, child: ChildProcess) -> None:
        self.kind = kind
        self.url = f"redis://{LOOPBACK}:{port}"
        self.port = port
        self.child = child


def find_server() -> str | None:
    """Return the program of a real server, or None where none is installed."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def valkey_server(directory: Path, prefer: Kind | None = None, port: int = 0) -> ValkeyServer:
    """Return the preferred kind (default: a real one where it is installed), not started yet; its log in `directory`.

    Nothing is kept on disk. `port` 0 takes a free one. Raises LocalCloudError.
    """
    program = None if prefer == "embedded" else find_server()
    if prefer == "installed" and program is None:
        raise LocalCloudError(f"none of {' and '.join(_PROGRAMS)} was found; install valkey or redis")
    directory.mkdir(parents=True, exist_ok=True)
    port = claim_port(port, SETTING)
    log = directory / "valkey.log"
    if program is None:
        command = [sys.executable, "-m", "infra.local.valkey", f"--host={LOOPBACK}", f"--port={port}"]
        return ValkeyServer("embedded", port, ChildProcess("Valkey", command, log_path=log, cwd=_ROOT))
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    child = ChildProcess("Valkey", command, log_path=log, cwd=directory, ready=answers_tcp(port))
    return ValkeyServer("installed", port, child)
