"""The scheduler runs a job at its times, never twice at once, and stops it."""

import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta

import pytest

from infra.local.reaper import signal_group
from infra.local.scheduler.scheduler import Scheduler, run_command
from tests.waiting import PATIENCE


class Soon:
    def after(self, moment: datetime) -> datetime:
        return moment + timedelta(milliseconds=1)


def test_runs_of_a_job_do_not_overlap() -> None:
    running, overlaps, thrice = threading.Lock(), [], threading.Event()
    runs = iter(range(1000))

    def job(_stopping: threading.Event) -> int:
        if not running.acquire(blocking=False):
            overlaps.append(1)
        run = next(runs)
        if run == 2:
            thrice.set()
        running.release()
        return run

    with Scheduler(Soon(), job) as scheduler:
        assert thrice.wait(PATIENCE)
    assert scheduler.statuses[:3] == [0, 1, 2]
    assert not overlaps


def test_a_command_returns_its_exit_status() -> None:
    failing = run_command([sys.executable, "-c", "raise SystemExit(4)"])
    assert failing(threading.Event()) == 4


def test_a_stop_ends_the_run_in_progress() -> None:
    started = threading.Event()
    command = run_command([sys.executable, "-c", "import time; time.sleep(600)"])

    def job(stopping: threading.Event) -> int:
        started.set()
        return command(stopping)

    with Scheduler(Soon(), job) as scheduler:
        assert started.wait(PATIENCE)
    assert scheduler.statuses == [-15]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_inherited_ignored_signal_still_ends_the_run(number: signal.Signals) -> None:
    run = [sys.executable, "-c", "import time; print('runs', flush=True); time.sleep(600)"]
    command = [sys.executable, "-m", "infra.local.scheduler", "@every 1s", *run]
    wrapper = ["sh", "-c", "trap '' INT TERM; exec \"$@\"", "sh"]
    with subprocess.Popen([*wrapper, *command], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert "runs\n" in iter(process.stdout.readline, "")
            process.send_signal(number)
            *_, last = process.stdout.read().splitlines()
            assert "run ended with status -15" in last
            assert process.wait(PATIENCE) == 0
        finally:
            signal_group(process.pid, signal.SIGKILL)
