"""The folder of a world: its rows, history, models and MLflow, claimed by one process at a time.

Two files stand for it. `DIR.lock` beside the folder is locked by its process, and names it; it outlives the folder
while another one is put in its place. `world.json` in the folder marks it as made by this program: a folder with
files and without that marker is neither used nor emptied.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from infra.local.errors import LocalCloudError
from infra.local.experiments import relocate
from shared.settings import MATURITY_DAYS

DEFAULT = Path(".local/world")
MARKER = "world.json"
MADE_BY = "pix-fraud-scoring: infra.local"
PATIENCE_SECONDS = 1.0
"""A reader of the lock holds it for an instant, and its owner writes its name an instant after it has it."""
_POLL_SECONDS = 0.05


class HomeInUse(LocalCloudError):
    """Another process has the folder."""


class ForeignHome(LocalCloudError):
    """The folder has files that this program did not make."""


class Owner(Struct, frozen=True):
    """The process that has a folder; `exports` are the variables of its clients, empty until it is ready."""

    pid: int
    command: str
    exports: dict[str, str] = {}


class Marker(Struct, frozen=True):
    """The marker of a world; `path` is the folder in which MLflow's absolute addresses lie."""

    path: str
    maturity_days: float = MATURITY_DAYS
    made_by: str = MADE_BY


class Home:
    """A folder that this process has claimed."""

    def __init__(self, path: Path, lock: int, command: str) -> None:
        self.path = path
        self._lock = lock
        self._command = command

    @property
    def is_world(self) -> bool:
        """Return whether a world is in the folder."""
        return read_marker(self.path) is not None

    def publish(self, exports: Mapping[str, str]) -> None:
        """Let other processes know the variables with which clients find this world."""
        _write(self._lock, Owner(os.getpid(), self._command, dict(exports)))

    def open(self, maturity_days: float = MATURITY_DAYS) -> Marker:
        """Return the marker of the world; an empty folder becomes a world of `maturity_days`.

        The addresses in a world that was moved are put right.
        """
        marker = read_marker(self.path)
        if marker is None:
            marker = mark(self.path, maturity_days)
        elif marker.path != str(self.path):
            relocate(self.path, Path(marker.path))
            marker = mark(self.path, marker.maturity_days)
        return marker

    def set_aside(self) -> Path | None:
        """Move the world to `DIR.old`, in place of the one there, and return its path; None without a world.

        Raises ForeignHome if files of another program are there.
        """
        if not self.is_world:
            return None
        return replace(self.path, beside(self.path, "old"))

    def adopt(self, built: Path) -> Path | None:
        """Put the world in `built` in the place of this one; return the path of the earlier one, if any."""
        earlier = self.set_aside()
        if self.path.exists():
            self.path.rmdir()
        try:
            built.rename(self.path)
        except BaseException:
            if earlier is not None:
                earlier.rename(self.path)
            raise
        self.open()
        return earlier


@contextmanager
def claimed(path: Path, command: str) -> Iterator[Home]:
    """Claim a folder for this process, named `command` to others, until the block ends. Nothing in it is changed.

    Raises HomeInUse, ForeignHome, or LocalCloudError if the folder cannot be used.
    """
    path = path.expanduser().resolve()
    try:
        require_own(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path, command)
    except OSError as error:
        raise LocalCloudError(
            f"{path} cannot be used: {error.strerror or error}. Name another folder with --home"
        ) from error
    try:
        yield Home(path, lock, command)
    finally:
        _lock_path(path).unlink(missing_ok=True)
        os.close(lock)


def owner(path: Path) -> Owner | None:
    """Return the process that has a folder, None if it is free."""
    try:
        lock = os.open(_lock_path(path.expanduser().resolve()), os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _taken(lock) else _owner(lock)
    finally:
        os.close(lock)


def read_marker(path: Path) -> Marker | None:
    """Return the marker of a world, None if the folder is none."""
    try:
        marker = msgspec.json.decode((path / MARKER).read_bytes(), type=Marker)
    except (OSError, msgspec.MsgspecError):
        return None
    return marker if marker.made_by == MADE_BY else None


def mark(path: Path, maturity_days: float = MATURITY_DAYS) -> Marker:
    """Mark a folder, made if missing, as a world of this program."""
    marker = Marker(str(path), maturity_days)
    path.mkdir(parents=True, exist_ok=True)
    (path / MARKER).write_bytes(msgspec.json.encode(marker) + b"\n")
    return marker


def require_own(path: Path) -> None:
    """Raise ForeignHome if something other than a world or an empty folder is there. Raises OSError."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise ForeignHome(f"{path} is not a folder. Name another with --home")
    if read_marker(path) is None and any(path.iterdir()):
        raise ForeignHome(
            f"{path} has files that this program did not make, and stays as it is. Name an empty folder with --home"
        )


def replace(source: Path, target: Path) -> Path:
    """Move a world to `target`, in place of the world there. Raises ForeignHome."""
    require_own(target)
    if target.exists():
        shutil.rmtree(target)
    return source.rename(target)


def beside(path: Path, name: str) -> Path:
    """Return the folder `DIR.name` beside a folder.

    >>> beside(Path("a/world"), "old").as_posix()
    'a/world.old'
    """
    return path.with_name(f"{path.name}.{name}")


def _lock_path(path: Path) -> Path:
    return beside(path, "lock")


def _lock(path: Path, command: str) -> int:
    """Return the descriptor of the lock file, locked and with the name of this process. Raises HomeInUse, OSError."""
    file, give_up = _lock_path(path), time.monotonic() + PATIENCE_SECONDS
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        if _taken(lock) and _is_at(lock, file):
            _write(lock, Owner(os.getpid(), command))
            return lock
        found = _owner(lock)
        os.close(lock)
        if time.monotonic() > give_up:
            raise HomeInUse(_in_use(path, found))
        time.sleep(_POLL_SECONDS)


def _in_use(path: Path, found: Owner) -> str:
    process = f"process {found.pid} ({found.command})" if found.pid else "another process"
    return (
        f'{path} is in use by {process}. Stop it first, or run beside it: make up ARGS="--home {path}-2 --free-ports"'
    )


def _taken(lock: int) -> bool:
    """Lock the file, unless another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(lock: int, file: Path) -> bool:
    """Return whether the locked file is still there; an earlier owner removes it when it ends."""
    try:
        return os.path.samestat(os.fstat(lock), file.stat())
    except FileNotFoundError:
        return False


def _owner(lock: int) -> Owner:
    try:
        return msgspec.json.decode(os.pread(lock, 1_000_000, 0), type=Owner)
    except msgspec.MsgspecError:
        return Owner(0, "")


def _write(lock: int, found: Owner) -> None:
    text = msgspec.json.encode(found)
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))
