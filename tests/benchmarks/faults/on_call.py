"""The person on call during a run: who runs jobs, asks the tables and waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from infra.local.cloud import ROOT, LocalCloud
from jobs.redrive import TOPICS
from tests.benchmarks.faults.clock import with_clock
from tests.benchmarks.faults.disk import FaultFailed

PATIENCE = 300.0
DAYS = 3_650
"""Days within which rows get places: the stream is older than those of a bank."""
Log = Callable[[str], None]


class OnCall:
    """The hands of the faults, over one local cloud."""

    def __init__(self, cloud: LocalCloud, log: Log) -> None:
        self.ahead = 0.0
        """Seconds by which the clocks of jobs are ahead."""
        self.log = log
        self._cloud = cloud

    def mend(self) -> None:
        """Find the places that rows lack, as the job does every five minutes."""
        outcome = self.job("repair", "--settle", "0", "--days", str(DAYS))
        self.log(f"repair: {outcome['outcome']}, {outcome['filled']}")

    def redrive(self) -> int:
        """Redrive dead letters, like an operator after an outage; return their number."""
        redriven = 0
        for topic in TOPICS:
            outcome = self.job("redrive", topic)
            redriven += outcome["redriven"]
            if outcome["redriven"]:
                self.log(f"{outcome['redriven']} dead letters of {topic} redriven")
        return redriven

    @contextmanager
    def fault(self, name: str, seconds: float) -> Iterator[None]:
        """Log a fault that begins in the context and lasts for some seconds."""
        self.log(f"{name} for {seconds:g} s")
        yield
        time.sleep(seconds)
        self.log(f"{name}: over")

    def query(self, expression: str, rows_of: str = "pix.score_events") -> Any:
        """Return the value of an expression over rows."""
        rows = self._cloud.bigquery().query(f"SELECT {expression} AS answer FROM {rows_of}").result(timeout=60)
        return next(iter(rows)).answer

    def wait(self, condition: Callable[[], bool], event: str) -> None:
        """Wait for an event. Raises FaultFailed if it does not happen."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > give_up:
                raise FaultFailed(f"timed out waiting for {event}")
            time.sleep(0.2)

    def job(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run a job and return its result. Raises FaultFailed if it fails."""
        done = self.start(name, *arguments)
        if done.returncode:
            raise FaultFailed(f"jobs.{name} ended with {done.returncode}: {done.stdout[-300:]} {done.stderr[-500:]}")
        return result_of(done.stdout)

    def start(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a job, whatever its exit status."""
        command = [sys.executable, "-m", f"jobs.{name}", *arguments]
        return subprocess.run(
            with_clock(command, self.ahead) if self.ahead else command,
            env={**os.environ, **self._cloud.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )


def result_of(printed: str) -> dict[str, Any]:
    """Return the result that a job printed last, nothing if there is none."""
    try:
        found: dict[str, Any] = json.loads(printed.strip().rpartition("\n")[2])
    except ValueError:
        return {}
    return found
