"""A local Pub/Sub of either kind as a child process: Google's emulator or the embedded one.

with start_pubsub(directory) as server:
    os.environ["PUBSUB_EMULATOR_HOST"] = server.endpoint
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from infra.local.errors import LocalCloudError
from infra.local.google_pubsub import find_emulator, google_command, google_is_ready
from infra.local.ports import claim_port
from infra.local.processes import ChildProcess, Details, Probe

Kind = Literal["google", "embedded"]
SETTING = "PIX_LOCAL_PUBSUB_PORT"
_HOST = "127.0.0.1"
_ROOT = Path(__file__).resolve().parents[2]  # where `python -m infra...` finds the package


class PubSubServer:
    """A local Pub/Sub that is about to run: `endpoint` is what PUBSUB_EMULATOR_HOST wants, `kind` which one it is."""

    def __init__(self, kind: Kind, port: int, child: ChildProcess) -> None:
        self.kind = kind
        self.endpoint = f"{_HOST}:{port}"
        self.child = child

    def __enter__(self) -> PubSubServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stop()


def pubsub_server(directory: Path, prefer: Kind | None = None, port: int = 0) -> PubSubServer:
    """Return the preferred kind (default: Google's where it is installed), not started yet; its log in `directory`.

    `port` 0 takes a free one. Raises LocalCloudError.
    """
    script = None if prefer == "embedded" else find_emulator()
    if prefer == "google" and script is None:
        raise LocalCloudError(
            "Google's Pub/Sub emulator was not found. It needs Java and the Cloud SDK component: "
            "`gcloud components install pubsub-emulator`; or set CLOUDSDK_ROOT_DIR."
        )
    directory.mkdir(parents=True, exist_ok=True)
    port = claim_port(port, SETTING)
    log = directory / "pubsub.log"
    if script is not None:
        command = google_command(script, _HOST, port)
        child = ChildProcess("Pub/Sub", command, log_path=log, ready=_greets(port), cwd=directory)
        return PubSubServer("google", port, child)
    command = [sys.executable, "-m", "infra.local.pubsub", f"--host={_HOST}", f"--port={port}"]
    return PubSubServer("embedded", port, ChildProcess("Pub/Sub", command, log_path=log, cwd=_ROOT))


def start_pubsub(directory: Path, prefer: Kind | None = None, port: int = 0) -> PubSubServer:
    """Start a Pub/Sub and wait until it answers. Raises LocalCloudError."""
    server = pubsub_server(directory, prefer, port)
    server.child.start()
    try:
        server.child.wait_ready()
    except LocalCloudError:
        server.child.stop()
        raise
    return server


def _greets(port: int) -> Probe:
    def probe(_child: ChildProcess) -> Details | None:
        return {} if google_is_ready(_HOST, port) else None

    return probe
