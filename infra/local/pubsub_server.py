"""Start a local Pub/Sub of either kind: Google's emulator or the embedded one.

with start_pubsub() as server:
    os.environ["PUBSUB_EMULATOR_HOST"] = server.endpoint
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from infra.local.google_pubsub import find_emulator, google_command, google_is_ready

Kind = Literal["google", "embedded"]
READY_WITHIN = 60.0  # seconds: a Java virtual machine on a busy machine takes its time
STOP_WITHIN = 5.0  # seconds
_HOST = "127.0.0.1"
_ROOT = Path(__file__).resolve().parents[2]  # where `python -m infra...` finds the package


class PubSubUnavailable(Exception):
    """Say why a local Pub/Sub could not be started and what to do."""


class PubSubServer:
    """A running local Pub/Sub: `endpoint` is what PUBSUB_EMULATOR_HOST wants, `kind` which one it is."""

    def __init__(self, kind: Kind, process: subprocess.Popen[bytes], port: int, directory: Path) -> None:
        self.kind = kind
        self.endpoint = f"{_HOST}:{port}"
        self.directory = directory
        self._process = process
        self._stopped = False

    def __enter__(self) -> PubSubServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """Return how the server ended, None while it runs; a negative number is the signal that ended it."""
        return self._process.poll()

    def stop(self) -> None:
        """End the server and what it started; stopping twice is fine."""
        if not self._stopped:
            self._stopped = True
            _end(self._process)


def start_pubsub(prefer: Kind | None = None, port: int = 0, directory: Path | None = None) -> PubSubServer:
    """Start the preferred kind (default: Google's where it is installed) and wait until it answers.

    `port` 0 takes a free one. `directory` receives the log; the default is a temporary one, which stays.
    Raises PubSubUnavailable.
    """
    script = None if prefer == "embedded" else find_emulator()
    if prefer == "google" and script is None:
        raise PubSubUnavailable(
            "Google's Pub/Sub emulator was not found. It needs Java and the Cloud SDK component: "
            "`gcloud components install pubsub-emulator`; or set CLOUDSDK_ROOT_DIR."
        )
    directory = directory or Path(tempfile.mkdtemp(prefix="pubsub-"))
    directory.mkdir(parents=True, exist_ok=True)
    return _start_google(script, port, directory) if script else _start_embedded(port, directory)


def _start_google(script: Path, port: int, directory: Path) -> PubSubServer:
    port = _free_port(port)
    process, log = _launch(google_command(script, _HOST, port), directory, working_directory=directory)
    _await(process, log, lambda: google_is_ready(_HOST, port))
    return PubSubServer("google", process, port, directory)


def _start_embedded(port: int, directory: Path) -> PubSubServer:
    command = [sys.executable, "-m", "infra.local.pubsub", f"--host={_HOST}", f"--port={port}"]
    process, log = _launch(command, directory, working_directory=_ROOT)
    _await(process, log, lambda: _announced_port(log) > 0)
    return PubSubServer("embedded", process, _announced_port(log), directory)


def _announced_port(log: Path) -> int:
    """Return the port in the line that says ready, 0 while there is none."""
    announcements = (line for line in log.read_text().splitlines() if line.startswith('{"ready"'))
    return next((int(json.loads(line)["port"]) for line in announcements), 0)


def _free_port(port: int) -> int:
    """Return the port, or a free one for 0; raises PubSubUnavailable where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise PubSubUnavailable(f"Port {port} is in use: choose another for Pub/Sub.") from error
        return int(probe.getsockname()[1])


def _launch(command: list[str], directory: Path, working_directory: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Start in a process group of its own; the log takes all output."""
    log = directory / "pubsub.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  the command is made of our own parts
            command,
            cwd=working_directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, log


def _await(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + READY_WITHIN
    while not ready():
        if process.poll() is not None or time.monotonic() > give_up:
            _end(process)
            raise PubSubUnavailable(f"Pub/Sub did not start; its log is {log}:\n{log.read_text()[-1000:]}")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN)
