"""Buckets as directories, and names of objects as paths below them: gs://bucket/name is the file root/bucket/name."""

import contextlib
import os
import re
from pathlib import Path

from infra.local.storage.errors import StorageConflict, StorageError, StorageNotFound

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class Buckets:
    """The buckets in one directory, which may hold other directories: those whose names begin with a dot."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        """Return the names of all buckets, sorted."""
        return sorted(p.name for p in self._root.iterdir() if p.is_dir() and BUCKET_NAME.fullmatch(p.name))

    def create(self, bucket: str) -> None:
        """Create a bucket; raises StorageConflict if it exists."""
        if not BUCKET_NAME.fullmatch(bucket):
            raise StorageError(f"Invalid bucket name: '{bucket}'")
        try:
            (self._root / bucket).mkdir()
        except FileExistsError as error:
            raise StorageConflict("The bucket you tried to create already exists, and you own it.") from error

    def created(self, bucket: str) -> int:
        """Return the time of creation, in microseconds since 1970; raises StorageNotFound."""
        return self.directory(bucket).stat().st_ctime_ns // 1000

    def directory(self, bucket: str) -> Path:
        """Return the directory of a bucket; raises StorageNotFound."""
        path = self._root / bucket
        if not BUCKET_NAME.fullmatch(bucket) or not path.is_dir():
            raise StorageNotFound("The specified bucket does not exist.")
        return path

    def objects(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the names of a bucket's objects that begin with the prefix, sorted; raises StorageNotFound."""
        top = self.directory(bucket)
        folder = prefix.rpartition("/")[0]
        if folder and not _is_safe(folder):
            return []
        files = (Path(parent, file) for parent, _, names in os.walk(top / folder) for file in names)
        return sorted(name for file in files if (name := file.relative_to(top).as_posix()).startswith(prefix))

    def path(self, bucket: str, name: str) -> Path:
        """Return the path of an object's file; raises StorageError, StorageNotFound for a missing bucket."""
        if not _is_safe(name):
            raise StorageError(f"The local storage server cannot hold an object of this name: '{name}'")
        return self.directory(bucket).joinpath(*name.split("/"))

    def remove_empty_folders(self, bucket: str, folder: Path) -> None:
        """Remove a folder and its parents in the bucket, up to the first one with an object in it."""
        top = self.directory(bucket)
        with contextlib.suppress(OSError):  # not empty
            while folder != top:
                folder.rmdir()
                folder = folder.parent


def make_folders(path: Path) -> None:
    """Create the folders above an object's file.

    Raises StorageError if one of them is an object, or the object is a folder: Cloud Storage can hold both `a` and
    `a/b`, a file system cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError("The local storage server cannot hold an object below another object.") from error
    if path.is_dir():
        raise StorageError("The local storage server cannot hold an object above other objects.")


def _is_safe(name: str) -> bool:
    """Return True if the name is that of a file below the bucket's directory, and cannot leave it."""
    return "\0" not in name and all(
        part not in ("", ".", "..") and len(part.encode()) <= 255 for part in name.split("/")
    )
