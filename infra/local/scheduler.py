"""Runs a job whenever its schedule is due, one run at a time, as Cloud Scheduler does with a Cloud Run job."""

import argparse
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from infra.local.cron import Schedule, parse_schedule
from infra.local.processes import POLL_SECONDS

log = logging.getLogger(__name__)

Job = Callable[[threading.Event], int]


def run_command(argv: Sequence[str], env: dict[str, str] | None = None) -> Job:
    """Make a job of a command. It returns the command's exit status; when the event is set, it ends the command."""

    def job(stopping: threading.Event) -> int:
        process = subprocess.Popen(argv, env=env)  # noqa: S603 - the caller's own command
        while process.poll() is None:
            if stopping.wait(POLL_SECONDS):
                _end(process)
        return process.returncode

    return job


class Scheduler:
    """A context in which the job runs when it is due. Times that pass while it runs are left out."""

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
        self.outcomes: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End a run that is under way, and start no other."""
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
        self.outcomes.append(status)
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


def main(arguments: list[str] | None = None) -> None:
    """Run a command on a schedule until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.scheduler", description=__doc__)
    parser.add_argument("schedule", type=parse_schedule, help="'@every 60s' or cron's five fields, in UTC")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command, e.g. python -m jobs.retrain")
    options = parser.parse_args(arguments)
    if not options.command:
        parser.error("no command given")
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(name)s %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    with Scheduler(options.schedule, run_command(options.command)) as scheduler:
        try:
            scheduler.wait()
        except KeyboardInterrupt:
            log.info("stopped")


if __name__ == "__main__":
    main()
