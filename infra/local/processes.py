"""Child processes that start together, are restarted like a cloud would, and never outlive their owner."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from infra.local import reaper
from infra.local.environment import local_environment
from infra.local.errors import ChildDied, NotReadyInTime
from infra.local.loopback import listens
from jobs.cli.interruption import deferred, do_nothing

POLL_SECONDS = 0.05
LOG_TAIL_BYTES = 4000
RESTART_DELAY_SECONDS = 0.1
MAX_RESTART_DELAY_SECONDS = 5.0
READY_SECONDS = 120.0  # a child that ends is noticed at once; one that runs may start slowly on a busy machine
STEADY_SECONDS = 10.0  # a child that ran this long starts with the shortest delay again

Details = dict[str, Any]
Probe = Callable[["ChildProcess"], Details | None]


def prints_ready(child: "ChildProcess") -> Details | None:
    """Return the line `{"ready": true, ...}` of the output since the last start, or None."""
    for line in child.output().splitlines():
        with contextlib.suppress(ValueError):
            details = json.loads(line)
            if isinstance(details, dict) and details.get("ready") is True:
                return details
    return None


def answers_tcp(*ports: int) -> Probe:
    """Make a probe that holds once all the ports accept connections."""
    return lambda _child: {"ports": ports} if all(map(listens, ports)) else None


def answers_http(url: str) -> Probe:
    """Make a probe that holds once the URL is answered, with whatever status below 500."""

    def probe(_child: "ChildProcess") -> Details | None:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - the URL is the caller's own
                return {"status": response.status}
        except urllib.error.HTTPError as error:
            return {"status": error.code} if error.code < 500 else None
        except OSError:
            return None

    return probe


class ChildProcess:
    """One program in a process group of its own, with its output in a file."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        ready: Probe = prints_ready,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        restart: bool = False,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = local_environment(os.environ, env or {})
        self.cwd = cwd
        self.log_path = log_path
        self.ready = ready
        self.restart = restart
        self.restarts = 0
        self.was_ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset = 0
        self._started_at = 0.0

    @property
    def pid(self) -> int:
        """The process id, which is also its group; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def returncode(self) -> int | None:
        """The exit status, or None while it runs or before the start."""
        return self._process.poll() if self._process else None

    @property
    def uptime(self) -> float:
        """Seconds since the last start."""
        return time.monotonic() - self._started_at

    def start(self) -> None:
        """Start the program; its output is appended to the log."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._log_offset = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own command
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started_at = time.monotonic()

    def wait_ready(self, timeout: float = READY_SECONDS) -> Details:
        """Wait until the probe holds and return its details.

        Raises ChildDied at once if the program ends, NotReadyInTime after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (details := self.ready(self)) is None:
            if self.returncode is not None and not (self.restart and self.was_ready):
                raise ChildDied(self.name, self.returncode, self.log_tail())
            if time.monotonic() > deadline:
                raise NotReadyInTime(self.name, timeout, self.log_tail())
            time.sleep(POLL_SECONDS)
        self.was_ready = True
        return details

    def stop(self, grace: float = 5) -> None:
        """Terminate the group, wait `grace` seconds, then kill the rest of it."""
        if self._process is None:
            return
        reaper.signal_group(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        # Also after a clean end: a grandchild may have ignored the first signal.
        reaper.signal_group(self.pid, signal.SIGKILL)
        self._process.wait()

    def kill(self) -> None:
        """Kill the group at once, as `kill -9` does; a child that is restarted comes back."""
        reaper.signal_group(self.pid, signal.SIGKILL)

    def output(self) -> str:
        """Return the program's output since its last start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_offset)
            return log.read().decode(errors="replace")

    def log_tail(self) -> str:
        """Return the end of the output since the last start."""
        return self.output()[-LOG_TAIL_BYTES:].strip() or "(it printed nothing)"

    def restart_delay(self) -> float:
        """Return how long to wait before the next start: short at first, then doubling, in seconds."""
        recent = 0 if self.uptime > STEADY_SECONDS else min(self.restarts, 10)
        return min(RESTART_DELAY_SECONDS * 2.0**recent, MAX_RESTART_DELAY_SECONDS)


class Supervisor:
    """Owns child processes: a context that ends them all, newest first, however it is left.

    SIGTERM and SIGHUP leave the context as SystemExit, SIGINT (Ctrl-C) as KeyboardInterrupt, also where this process
    was started with them ignored, as a shell starts a background job. If it is killed with -9, the reaper ends the
    children.
    """

    def __init__(self) -> None:
        self._children: list[ChildProcess] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._reaper: subprocess.Popen[str] | None = None
        self._handlers: dict[int, Any] = {}
        self._due: dict[ChildProcess, float] = {}

    def __enter__(self) -> Self:
        self._reaper = subprocess.Popen(  # noqa: S603 - this Python, this file
            [sys.executable, "-I", "-S", reaper.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, handler) for number, handler in _HANDLERS.items()}
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._undisturbed():
            self.stop()

    def start(self, child: ChildProcess, *, timeout: float = READY_SECONDS) -> Details:
        """Start and own a child; return the details of its probe once it is ready."""
        self._children.append(child)
        self._launch(child)
        return child.wait_ready(timeout)

    def stop(self) -> None:
        """End all children, newest first. Nothing is restarted any more."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        while self._children:
            self._retire(self._children.pop())
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait()

    def wait(self) -> None:
        """Wait until a signal ends the wait; raises ChildDied if a child that is not restarted ends."""
        while True:
            self.check()
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raise ChildDied if a child that is not restarted has ended."""
        for child in list(self._children):
            if not child.restart and child.returncode is not None:
                raise ChildDied(child.name, child.returncode, child.log_tail())

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            for child in list(self._children):
                if child.restart and child.was_ready and child.returncode is not None:
                    self._restart_when_due(child)

    def _restart_when_due(self, child: ChildProcess) -> None:
        if child not in self._due:
            child.stop(grace=0)  # other processes of the dead child's group
            self._tell_reaper("-", child)
            self._due[child] = time.monotonic() + child.restart_delay()
        elif time.monotonic() >= self._due[child]:
            del self._due[child]
            self._launch(child)
            child.restarts += 1  # who sees it may kill the new process, not the one that is gone

    def _launch(self, child: ChildProcess) -> None:
        with deferred():
            child.start()
            self._tell_reaper("+", child)

    def _retire(self, child: ChildProcess) -> None:
        child.stop()
        self._tell_reaper("-", child)

    def _tell_reaper(self, sign: str, child: ChildProcess) -> None:
        if not child.pid or self._reaper is None or self._reaper.stdin is None:
            return
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.write(f"{sign}{child.pid}\n")
            self._reaper.stdin.flush()

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        # A second Ctrl-C while children are being stopped would leave some of them behind.
        for number in self._handlers:
            signal.signal(number, do_nothing)
        try:
            yield
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


_HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _leave, signal.SIGHUP: _leave}
