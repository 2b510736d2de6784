"""A disk without room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Broken(Exception):
    """A fault could not be made, or was not survived; the text says which."""


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Mount a file system without room at `folder`. Raises Broken where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        raise Broken(
            f"no file system can be mounted here ({mounted.stderr.strip()}); run as root or with --no-retrain"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
