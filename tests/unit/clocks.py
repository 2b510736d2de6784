"""A clock for tests."""

from __future__ import annotations


class ManualClock:
    """A monotonic clock that stands until a test moves it; `now` is in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
