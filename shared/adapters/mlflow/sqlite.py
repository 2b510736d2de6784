"""Openings of MLflow's SQLite file, one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEME = "sqlite:///"
IN_MEMORY = ("", ":memory:")


@contextmanager
def exclusive(uri: str) -> Iterator[None]:
    """Hold the lock file beside the SQLite file of `uri` during the block; other stores lock by themselves.

    The first opening creates the tables and migrates them; a second process that does so meanwhile fails. The system
    releases the lock of a killed process. Raises OSError if the lock file cannot be written.
    """
    file = uri.removeprefix(SCHEME)
    if not uri.startswith(SCHEME) or file in IN_MEMORY:
        yield
        return
    with Path(f"{file}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
