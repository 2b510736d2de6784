"""Jobs as processes of their own beside the local cloud, as in production."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local import reaper
from infra.local.environment import local_environment
from infra.local.errors import LocalCloudError
from jobs.cli.interruption import deferred

ROOT = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 15.0
"""An interrupted job ends within 10 s, as Cloud Run demands."""
NICENESS = 10
"""A job in the cloud has its own CPUs; here it must not slow the functions."""


class JobFailed(LocalCloudError):
    """A job ended with an error; the text names the job and has the end of its output."""


@contextmanager
def started(name: str, *arguments: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start `jobs.NAME`; it is ended with the block if it still runs. Its progress goes to standard error.

    Its session is its own: Ctrl-C in the terminal is for this process, which ends the job.
    """
    process = None
    try:
        with deferred():  # or a signal during the start would leave the job behind
            process = subprocess.Popen(  # noqa: S603 (our own job)
                [sys.executable, "-m", f"jobs.{name}", *arguments],
                env=local_environment(os.environ, environment),
                cwd=ROOT,
                preexec_fn=lambda: os.nice(NICENESS),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
        yield process
    finally:
        if process is not None:
            _end(process)
            if process.stdout is not None:
                process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    """End a job that still runs, with time for its clean-up, then kill the rest of its group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    reaper.signal_group(process.pid, signal.SIGKILL)
    process.wait()


def result(name: str, process: subprocess.Popen[str]) -> str:
    """Wait for a job and return the last line of its output, its result as JSON. Raises JobFailed."""
    output, _ = process.communicate()
    if process.returncode:
        raise JobFailed(f"jobs.{name} ended with {process.returncode}: {output.strip()[-500:]}")
    return output.strip().rpartition("\n")[2]


def run(name: str, *arguments: str, environment: Mapping[str, str]) -> str:
    """Run a job and return the last line of its output, its result as JSON. Raises JobFailed."""
    with started(name, *arguments, environment=environment) as process:
        return result(name, process)
