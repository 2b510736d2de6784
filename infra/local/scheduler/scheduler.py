"""A thread that runs a job at the times of a schedule, one run at a time."""

import logging
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from infra.local.processes import POLL_SECONDS
from infra.local.scheduler.cron import Schedule

log = logging.getLogger("scheduler")

Job = Callable[[threading.Event], int]
"""A run: it returns its exit status, and ends early once the event is set."""


def run_command(argv: Sequence[str], env: dict[str, str] | None = None) -> Job:
    """Return the job that runs a command, with the environment `env` or that of this process."""

    def job(stopping: threading.Event) -> int:
        process = subprocess.Popen(argv, env=env)  # noqa: S603 - the caller's own command
        while process.poll() is None:
            if stopping.wait(POLL_SECONDS):
                _end(process)
        return process.returncode

    return job


class Scheduler:
    """A context in which a job runs on a schedule. Times during a run are skipped."""

    def __init__(
        self,
        schedule: Schedule,
        job: Job,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._schedule = schedule
        self._job = job
        self._now = now
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self.statuses: list[int] = []
        """Exit statuses of the runs so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the run in progress, and start no other."""
        self._stopping.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until stopped.

        Not by joining the thread: before Python 3.13 a join that a signal interrupts takes the thread for ended, so
        the run that is under way would be left behind.
        """
        self._ended.wait()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                due = self._schedule.after(self._now())
                log.info("next run at %s", due.isoformat(timespec="seconds"))
                if not self._stopping.wait(max(0.0, (due - self._now()).total_seconds())):
                    self._run_once()
        finally:
            self._ended.set()

    def _run_once(self) -> None:
        started = self._now()
        status = self._job(self._stopping)
        self.statuses.append(status)
        seconds = (self._now() - started).total_seconds()
        log.log(
            logging.INFO if status == 0 else logging.ERROR, "run ended with status %d after %.1f s", status, seconds
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
