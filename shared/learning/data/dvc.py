"""Snapshots for users of DVC: a pointer file, and the snapshot in the layout of a DVC remote.

A remote of DVC is a folder of files named by their MD5, `files/md5/ab/cdef...`; here it is REMOTE in the bucket of
training sets. Source: DVC user guide, .dvc files, and project structure, of version 3.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from shared.errors import Misconfigured
from shared.learning.data.snapshot import name_of
from shared.learning.ports import Archive, SharedArchive

REMOTE = "datasets/dvc"
"""In the folder of the snapshots, so that it expires with them."""


class DvcFile(Struct, frozen=True):
    """A `.dvc` file: the MD5 and the size in bytes of the file `path` beside it."""

    path: str
    md5: str
    size: int

    @property
    def stored(self) -> str:
        """Return the object name of the file in the remote.

        >>> DvcFile("rows.parquet", "0cc175b9c0f1b6a831c399e269772661", 1).stored
        'datasets/dvc/files/md5/0c/c175b9c0f1b6a831c399e269772661'
        """
        return f"{REMOTE}/files/md5/{self.md5[:2]}/{self.md5[2:]}"

    @property
    def name(self) -> str:
        """Return the name of the pointer's file."""
        return f"{self.path}.dvc"

    def text(self) -> str:
        """Return the pointer as DVC writes it."""
        return f"outs:\n- md5: {self.md5}\n  size: {self.size}\n  hash: md5\n  path: {self.path}\n"


def fetch(archive: Archive, content_hash: str, file: Path) -> None:
    """Save a snapshot as a file. Raises Unavailable, Misconfigured if there is none or the file cannot be written."""
    try:
        if archive.fetch(name_of(content_hash), file):
            return
    except OSError as error:
        raise Misconfigured(f"{file} cannot be written: {error.strerror or error}") from error
    raise _unknown(content_hash)


def share(archive: SharedArchive, content_hash: str, path: str) -> DvcFile:
    """Put a snapshot into the remote, unless it is there; return the pointer to it, as `path`.

    The bucket copies it by itself, so its bytes do not travel. Raises Unavailable, Misconfigured if there is none.
    """
    name = name_of(content_hash)
    if (found := archive.checksum(name)) is None:
        raise _unknown(content_hash)
    pointer = DvcFile(path, found.md5, found.size)
    archive.copy(name, pointer.stored)
    return pointer


def _unknown(content_hash: str) -> Misconfigured:
    return Misconfigured(f"there is no training set {content_hash}: `jobs.dataset list` has those that there are")
