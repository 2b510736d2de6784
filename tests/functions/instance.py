"""An extra instance of a function under functions-framework, beside those of the local cloud."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx

from infra.local.cloud import ROOT, LocalCloud
from infra.local.loopback import claim_port
from infra.local.reaper import signal_group
from tests.waiting import PATIENCE, until


class Instance:
    """One instance; `settings` are environment variables, and its output goes to the file `log`.

    It runs the source of this repository, or a staged `source`; it has started once it answers `status` at `ready`.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        log: Path,
        name: str = "score",
        settings: Mapping[str, str] | None = None,
        *,
        python: Path = Path(sys.executable),
        source: Path | None = None,
        ready: str = "",
        status: int = 200,
    ) -> None:
        port = claim_port(0, "--port")
        self.name = name
        self.address = f"http://127.0.0.1:{port}/"
        self.log = log
        self._ready_path = ready
        self._status = status
        command = [
            str(python.with_name("functions-framework")),
            *("--source", str((source or ROOT / "functions" / name) / "main.py")),
            *("--target", name, "--host", "127.0.0.1", "--port", str(port)),
        ]
        environment = {**os.environ, **cloud.environment, **(settings or {})}
        environment["PYTHONPATH"] = "" if source else str(ROOT)
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, env=environment, stderr=file, stdout=file, start_new_session=True
            )
        try:
            until(self._ready)
        except BaseException:
            self.kill()
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.probed() == self._status
        except httpx.TransportError:
            return False

    def probed(self) -> int:
        """Return the status of a probe."""
        return httpx.get(self.address + self._ready_path, timeout=PATIENCE).status_code

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM, and return exit code and seconds."""
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began

    def logged(self, message: str) -> bool:
        """Return whether it has logged the message."""
        return f'"message":"{message}"' in self.log.read_text()

    def kill(self) -> None:
        """Kill it and its workers."""
        signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Start(Protocol):
    """Start a function; `settings` are environment variables."""

    def __call__(self, name: str = "score", **settings: str) -> Instance: ...
