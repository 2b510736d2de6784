"""A local Cloud Storage as a child process: the embedded server over a directory."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess

StorageKind = Literal["embedded"]
SETTING = "--storage-port"
_ROOT = Path(__file__).resolve().parents[3]  # where `python -m infra...` finds the package


@dataclass(frozen=True, slots=True)
class StorageServer:
    """A local Cloud Storage: its kind, its port, and its process, which the caller starts."""

    kind: StorageKind
    port: int
    child: ChildProcess

    @property
    def url(self) -> str:
        """Return the value of STORAGE_EMULATOR_HOST."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables through which Google's client libraries find this server."""
        return {"STORAGE_EMULATOR_HOST": self.url}


def storage_server(directory: Path, objects: Path, port: int = 0) -> StorageServer:
    """Return a server of the buckets in `objects`, not started; its log in `directory`.

    gs://bucket/name is the file `objects`/bucket/name. `port` 0 takes a free one. Raises PortInUse.
    """
    port = claim_port(port, SETTING)
    argv = ["-m", "infra.local.storage", "--root", str(objects), "--host", LOOPBACK, "--port", str(port)]
    child = ChildProcess("Cloud Storage", [sys.executable, *argv], log_path=directory / "storage.log", cwd=_ROOT)
    return StorageServer("embedded", port, child)
