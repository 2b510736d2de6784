"""A local Pub/Sub of either kind as a child process: Google's emulator or the embedded server."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.local.errors import LocalCloudError
from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Details, Probe
from infra.local.pubsub.google import find_emulator, google_command, google_is_ready

PubSubKind = Literal["google", "embedded"]
SETTING = "--pubsub-port"
_ROOT = Path(__file__).resolve().parents[3]  # where `python -m infra...` finds the package


@dataclass(frozen=True, slots=True)
class PubSubServer:
    """A local Pub/Sub: its kind, its port, and its process, which the caller starts."""

    kind: PubSubKind
    port: int
    child: ChildProcess

    @property
    def endpoint(self) -> str:
        """Return host and port, the value of PUBSUB_EMULATOR_HOST."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables through which Google's client libraries find this server."""
        return {"PUBSUB_EMULATOR_HOST": self.endpoint}


def pubsub_server(directory: Path, kind: PubSubKind | None = None, port: int = 0) -> PubSubServer:
    """Return a server of a kind (default: Google's if installed, else embedded), not started; its log in `directory`.

    Messages are kept in memory. `port` 0 takes a free one. Raises PortInUse, or LocalCloudError if the kind is google
    and the emulator is not installed.
    """
    script = None if kind == "embedded" else find_emulator()
    if kind == "google" and script is None:
        raise LocalCloudError(
            "Google's Pub/Sub emulator was not found. It needs Java and the Cloud SDK component: "
            "`gcloud components install pubsub-emulator`; or set CLOUDSDK_ROOT_DIR."
        )
    directory.mkdir(parents=True, exist_ok=True)
    port = claim_port(port, SETTING)
    log = directory / "pubsub.log"
    if script is not None:
        command = google_command(script, LOOPBACK, port)
        child = ChildProcess("Pub/Sub", command, log_path=log, ready=_answers(port), cwd=directory)
        return PubSubServer("google", port, child)
    command = [sys.executable, "-m", "infra.local.pubsub", f"--host={LOOPBACK}", f"--port={port}"]
    return PubSubServer("embedded", port, ChildProcess("Pub/Sub", command, log_path=log, cwd=_ROOT))


def _answers(port: int) -> Probe:
    def probe(_child: ChildProcess) -> Details | None:
        return {} if google_is_ready(LOOPBACK, port) else None

    return probe
