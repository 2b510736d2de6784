"""Waits for an event, also on a busy machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE = 120.0
"""Seconds until an event that must happen counts as missing; less than the time-out of a test."""
_LOOK_SECONDS = 0.05
_STEPS = 100
"""More steps of an event loop than any chain of callbacks here has."""


def until(condition: Callable[[], Value], patience: float = PATIENCE) -> Value:
    """Return the value of `condition` once it is true."""
    give_up = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < give_up, "the condition did not become true in time"
        time.sleep(_LOOK_SECONDS)
    return value


def until_equal(value: Callable[[], Value], wanted: Value, patience: float = PATIENCE) -> None:
    """Wait until a value equals `wanted`; each change of it restarts the patience."""
    seen, give_up = None, time.monotonic() + patience
    while (now := value()) != wanted:
        if now != seen:
            seen, give_up = now, time.monotonic() + patience
        assert time.monotonic() < give_up, f"it stays {now!r} instead of {wanted!r}"
        time.sleep(_LOOK_SECONDS)


async def settled() -> None:
    """Let the tasks of this loop run until all of them wait: for a gate, a clock or a thread."""
    for _ in range(_STEPS):
        await asyncio.sleep(0)
