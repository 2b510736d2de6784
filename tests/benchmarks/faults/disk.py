"""A full disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FaultFailed(Exception):
    """A fault could not be injected, or the system did not recover from it."""


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Mount a full file system at `folder`. Raises FaultFailed if mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        raise FaultFailed(
            f"no file system can be mounted here ({mounted.stderr.strip()}); run as root or with --no-retrain"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
