"""The machines that run the tasks of a replay in partitions."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Protocol

from shared.errors import Unavailable
from shared.replay.partitioned.tasks import Task, TaskResult


class ReplayEngine(Protocol):
    """Run tasks that do not depend on each other."""

    workers: int
    """Tasks that run at the same time."""

    def run(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Return the result of each task, once all have ended. Raises Misconfigured, Unavailable."""
        ...


class InlineEngine:
    """One task after the other, in this process: the twin for tests."""

    workers = 1

    def run(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Run the tasks."""
        return [task() for task in tasks]


class ProcessEngine:
    """Processes of this machine, which live until the end of the block."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers` are by default as many as there are CPUs."""
        self.workers = workers or os.cpu_count() or 1
        # Processes that are forked would inherit the threads' locks of NumPy and Arrow.
        self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), _ignore_interrupts)

    def __enter__(self) -> ProcessEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Run the tasks, as many at a time as there are processes."""
        try:
            return list(self._pool.map(_done, tasks))
        except BrokenProcessPool as error:
            raise Unavailable("a process of the replay was ended: it may have run out of memory") from error


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _done(task: Task) -> TaskResult:
    return task()
