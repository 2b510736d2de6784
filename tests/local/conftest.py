"""Fixtures of the tests of the local cloud's commands."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def restored_process() -> Iterator[None]:
    """Put back the environment and the signal handlers that a command sets."""
    environment = dict(os.environ)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    os.environ.clear()
    os.environ.update(environment)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
