"""Interruptions: Ctrl-C, SIGTERM and SIGHUP end a program with one line, and exit code 128 plus their number."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLEAN_UP_SECONDS = 8.0
"""Time for the clean-up until it is interrupted in its turn: Cloud Run kills a task 10 s after SIGTERM."""
RETRY_SECONDS = 0.01


class Interrupted(SystemExit):
    """A signal has ended the program.

    It is a SystemExit, so no handler of ordinary errors takes it; uncaught, it ends the program with the exit code
    and without a traceback.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number
        self.number = number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}"


class _Handler:
    """Raise Interrupted in the main thread at the first signal, and once more if the clean-up takes too long.

    Other signals after the first are ignored: a terminal and a parent process may both send one, and the second would
    disturb the clean-up.
    """

    def __init__(self) -> None:
        self._number: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._number is None:
            self._interrupt(number)

    def again(self, _number: int, frame: FrameType | None) -> None:
        """Raise once more, or call the handler by which another owner has replaced this one meanwhile."""
        assert self._number is not None
        handler = signal.getsignal(self._number)
        if handler is self or not callable(handler):
            self._interrupt(self._number)
        handler(self._number, frame)

    def retry(self, number: int) -> None:
        """Call `again` soon."""
        self._number = number
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)

    def _interrupt(self, number: int) -> NoReturn:
        self._number = number
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_SECONDS)
        raise Interrupted(number)


def raise_on_signals() -> dict[signal.Signals, Any]:
    """Raise Interrupted for each of SIGNALS from now on; return the handlers before. Only in the main thread.

    A shell starts background jobs with SIGINT ignored, so that is overridden; an ignored SIGHUP stays, as it is the
    purpose of nohup.
    """
    handler = _Handler()
    _retry_if_dropped(handler)
    numbers = [each for each in SIGNALS if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]
    return {signal.SIGALRM: signal.signal(signal.SIGALRM, handler.again)} | {
        number: signal.signal(number, handler) for number in numbers
    }


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted for each of SIGNALS within the block; in another thread than the main one, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook, handlers = sys.unraisablehook, raise_on_signals()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Hold signals back within the block, and deliver them at its end; in another thread, do nothing.

    For the start of a child process: an exception between its fork and the assignment of its handle would lose it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {number: signal.signal(number, lambda got, _frame: held.append(got)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def behind(error: BaseException) -> Interrupted | None:
    """Return the interruption during which an error was raised, as by the clean-up; None if there was none."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, Interrupted):
        found = found.__context__
    return found


def ending(error: BaseException) -> int:
    """Ignore further signals, so that nothing disturbs the end, and return the exit code of an interruption."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        signal.signal(number, do_nothing)
    return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 128 + signal.SIGINT


def leave(code: int) -> NoReturn:
    """End the process.

    After an interruption without waiting for threads, which may be in the middle of a long computation.
    """
    if code <= 128:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the interpreter ends, Ctrl-C would be a traceback
        sys.exit(code)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _retry_if_dropped(handler: _Handler) -> None:
    """Raise again soon where the interpreter drops the exception: in a destructor, or in a callback as of a fork."""
    before = sys.unraisablehook

    def hook(found: sys.UnraisableHookArgs) -> None:
        number = _number(found.exc_value)
        if number in SIGNALS:
            handler.retry(number)
        else:
            before(found)

    sys.unraisablehook = hook


def _number(error: BaseException | None) -> int:
    """Return the number of the signal that has raised an error, by this handler or another one; 0 if none has."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    return error.code - 128 if isinstance(error, SystemExit) and isinstance(error.code, int) else 0


def do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal without effect. Unlike SIG_IGN, a handler is not inherited by child processes."""
