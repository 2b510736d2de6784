"""The metadata of objects on disk: root/.meta/bucket/<hash of name>/<generation>.json.

They hold the checksums, generations and content types, for which a file system has no place. A record also holds the
size, time and inode of its file, and is valid only while the file has them: if there are several, the file decides.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ObjectRecord:
    """The metadata of one generation of an object. Times are microseconds since 1970."""

    name: str
    generation: int
    metageneration: int
    created: int
    updated: int
    size: int
    md5: str
    crc32c: str
    mtime_ns: int
    inode: int
    properties: dict[str, Any] = field(default_factory=dict)
    """The properties that clients set, such as contentType."""

    def describes(self, stat: os.stat_result) -> bool:
        """Return True if the record was made for the file with this size, time and inode."""
        return (self.size, self.mtime_ns, self.inode) == (stat.st_size, stat.st_mtime_ns, stat.st_ino)


class RecordFiles:
    """The records of all objects, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def save(self, bucket: str, record: ObjectRecord) -> None:
        """Write a record, replacing the one of the same generation."""
        folder = self._folder(bucket, record.name)
        folder.mkdir(parents=True, exist_ok=True)
        # A kill while writing leaves this file, which no reader takes for a record.
        unfinished = folder / "unfinished"
        unfinished.write_text(json.dumps(asdict(record)), "utf-8")
        unfinished.replace(folder / f"{record.generation}.json")

    def of(self, bucket: str, name: str) -> Iterator[ObjectRecord]:
        """Yield the records of an object, including those of generations that are gone."""
        for path in self._folder(bucket, name).glob("*.json"):
            yield ObjectRecord(**json.loads(path.read_text("utf-8")))

    def keep_only(self, bucket: str, record: ObjectRecord) -> None:
        """Remove all records of an object but this one."""
        for path in self._folder(bucket, record.name).glob("*"):
            if path.name != f"{record.generation}.json":
                path.unlink()

    def remove(self, bucket: str, name: str) -> None:
        """Remove all records of an object."""
        folder = self._folder(bucket, name)
        for path in folder.glob("*"):
            path.unlink()
        folder.rmdir()

    def remove_bucket(self, bucket: str) -> None:
        """Remove all records of a bucket."""
        shutil.rmtree(self._directory / bucket, ignore_errors=True)

    def _folder(self, bucket: str, name: str) -> Path:
        # Hashed, as an object's name may hold slashes and be longer than a file's name can be.
        return self._directory / bucket / hashlib.sha256(name.encode()).hexdigest()
