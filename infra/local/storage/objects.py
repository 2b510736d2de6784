"""Buckets and objects in a directory, with generations and preconditions as Cloud Storage has them.

gs://bucket/name is the file root/bucket/name, so that other programs can read and write the same objects. What a file
system cannot hold (checksums, generation, content type) is in root/.meta/bucket/<hash of name>/<generation>.json. The
record that tells the size, time and inode of the file is the one that counts, so replacing the file is the one step
that makes a write visible, and a kill at any time leaves the old object or the new one. A file that matches no record
was written by another program: it gets a record with a generation derived from its time.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

CHUNK_BYTES = 1 << 20
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class StorageError(Exception):
    """A request that the store refuses; `status` and `reason` are those of the JSON API."""

    status = 400
    reason = "invalid"


class NotFound(StorageError):
    """No such bucket or object."""

    status, reason = 404, "notFound"


class Conflict(StorageError):
    """The bucket exists already, or is not empty."""

    status, reason = 409, "conflict"


class ConditionNotMet(StorageError):
    """A precondition does not hold."""

    status, reason = 412, "conditionNotMet"


class NotModified(StorageError):
    """The reader has this generation already."""

    status, reason = 304, "notModified"


@dataclass(frozen=True)
class Conditions:
    """The generations that a request depends on; a generation of 0 means that the object must not exist."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, found: "Record | None", *, reading: bool = False) -> None:
        """Raise ConditionNotMet, or NotModified where a read has nothing new, unless all conditions hold."""
        generation = found.generation if found else 0
        metageneration = found.metageneration if found else 0
        if self.generation_match not in (None, generation) or self.metageneration_match not in (None, metageneration):
            raise ConditionNotMet("At least one of the pre-conditions you specified did not hold.")
        if generation == self.generation_not_match or metageneration == self.metageneration_not_match:
            raise (NotModified if reading else ConditionNotMet)("The object is at the generation to be excluded.")


ALWAYS = Conditions()


@dataclass(frozen=True)
class Record:
    """What is known of one generation of an object. Times are microseconds since 1970."""

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

    def describes(self, stat: os.stat_result) -> bool:
        """Say whether the file is the one that this record was made for."""
        return (self.size, self.mtime_ns, self.inode) == (stat.st_size, stat.st_mtime_ns, stat.st_ino)


class Staged:
    """Bytes on their way into an object: a temporary file and its checksums."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(dir=directory)
        self.path = Path(path)
        self._file = os.fdopen(descriptor, "wb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self._md5.update(data)
        self._crc32c.update(data)  # type: ignore[no-untyped-call]
        self.size += len(data)

    def copy(self, source: BinaryIO) -> None:
        """Add all bytes of an open file."""
        while data := source.read(CHUNK_BYTES):
            self.write(data)

    def close(self) -> None:
        """Finish writing."""
        self._file.close()

    def discard(self) -> None:
        """Remove the temporary file."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def md5(self) -> str:
        """The MD5 in base64."""
        return b64encode(self._md5.digest()).decode()

    @property
    def crc32c(self) -> str:
        """The CRC32C, big endian, in base64."""
        return b64encode(self._crc32c.digest()).decode()  # type: ignore[no-untyped-call]


class ObjectStore:
    """Buckets in a directory. Safe for threads; one process at a time may own the directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._meta = root / ".meta"
        self._staging = root / ".staging"
        self._lock = threading.RLock()
        self._last_generation = 0
        shutil.rmtree(self._staging, ignore_errors=True)  # what an earlier owner did not finish
        self._meta.mkdir(parents=True, exist_ok=True)

    def buckets(self) -> list[str]:
        """Return the names of all buckets, in order."""
        return sorted(p.name for p in self._root.iterdir() if p.is_dir() and BUCKET_NAME.fullmatch(p.name))

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket; raises Conflict if it exists."""
        if not BUCKET_NAME.fullmatch(bucket):
            raise StorageError(f"Invalid bucket name: '{bucket}'")
        try:
            (self._root / bucket).mkdir()
        except FileExistsError as error:
            raise Conflict("The bucket you tried to create already exists, and you own it.") from error

    def bucket_created(self, bucket: str) -> int:
        """Return when the bucket was created; raises NotFound if it is not there."""
        return self._directory(bucket).stat().st_ctime_ns // 1000

    def delete_bucket(self, bucket: str) -> None:
        """Delete an empty bucket; raises NotFound or Conflict."""
        with self._lock:
            if self.names(bucket):
                raise Conflict("The bucket you tried to delete is not empty.")
            shutil.rmtree(self._directory(bucket))
            shutil.rmtree(self._meta / bucket, ignore_errors=True)

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the names of the bucket's objects that begin with the prefix, in order."""
        top = self._directory(bucket)
        folder = prefix.rpartition("/")[0]
        if folder and not _is_storable(folder):
            return []
        files = (Path(parent, file) for parent, _, names in os.walk(top / folder) for file in names)
        return sorted(name for file in files if (name := file.relative_to(top).as_posix()).startswith(prefix))

    def stage(self) -> Staged:
        """Return an empty temporary file on the store's own file system."""
        return Staged(self._staging)

    def get(self, bucket: str, name: str, conditions: Conditions = ALWAYS, generation: int | None = None) -> Record:
        """Return the object's record; raises NotFound, ConditionNotMet or NotModified."""
        with self._lock:
            record = self._find(bucket, name)
            if record is None or generation not in (None, record.generation):
                raise NotFound(f"No such object: {bucket}/{name}")
            conditions.check(record, reading=True)
            return record

    def records(self, bucket: str, names: list[str]) -> list[Record]:
        """Return the records of those of the objects that are there."""
        with self._lock:
            return [record for name in names if (record := self._find(bucket, name))]

    def open(
        self, bucket: str, name: str, conditions: Conditions = ALWAYS, generation: int | None = None
    ) -> tuple[Record, BinaryIO]:
        """Return the record and its bytes, which stay readable when the object is replaced or deleted."""
        with self._lock:
            record = self.get(bucket, name, conditions, generation)
            return record, self._path(bucket, name).open("rb")

    def put(
        self,
        bucket: str,
        name: str,
        staged: Staged,
        properties: dict[str, Any],
        conditions: Conditions = ALWAYS,
    ) -> Record:
        """Make staged bytes the object, in one step that is visible to everybody or to nobody."""
        staged.close()
        with self._lock:
            found = self._find(bucket, name)
            conditions.check(found)
            path = self._path(bucket, name)
            _make_room(path)
            self._last_generation = max(self._last_generation, found.generation if found else 0)
            record = self._recorded(bucket, name, staged, staged.path.stat(), self._next_generation(), properties)
            staged.path.replace(path)
            self._forget(bucket, name, keep=record.generation)
            return record

    def delete(self, bucket: str, name: str, conditions: Conditions = ALWAYS, generation: int | None = None) -> None:
        """Delete the object; raises NotFound or ConditionNotMet."""
        with self._lock:
            record = self.get(bucket, name, generation=generation)
            conditions.check(record)
            path = self._path(bucket, name)
            path.unlink()
            self._forget(bucket, name)
            self._remove_empty_folders(bucket, path.parent)

    def update(self, bucket: str, name: str, changes: dict[str, Any], conditions: Conditions = ALWAYS) -> Record:
        """Change properties (None removes one) and count the metageneration up."""
        with self._lock:
            record = self.get(bucket, name)
            conditions.check(record)
            properties = {key: value for key, value in {**record.properties, **changes}.items() if value is not None}
            changed = replace(record, metageneration=record.metageneration + 1, updated=_now(), properties=properties)
            self._save(bucket, changed)
            return changed

    def _find(self, bucket: str, name: str) -> Record | None:
        path = self._path(bucket, name)
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if path.is_dir():
            return None
        records = list(self._records(bucket, name))
        return next((r for r in records if r.describes(stat)), None) or self._adopt(bucket, name, stat, records)

    def _adopt(self, bucket: str, name: str, stat: os.stat_result, older: list[Record]) -> Record:
        """Record a file that another program wrote."""
        last = max((record.generation for record in older), default=0)
        summed = self.stage()
        try:
            with self._path(bucket, name).open("rb") as source:
                summed.copy(source)
        finally:
            summed.discard()
        record = self._recorded(bucket, name, summed, stat, max(stat.st_mtime_ns // 1000, last + 1), {})
        self._forget(bucket, name, keep=record.generation)
        return record

    def _recorded(
        self,
        bucket: str,
        name: str,
        content: Staged,
        stat: os.stat_result,
        generation: int,
        properties: dict[str, Any],
    ) -> Record:
        record = Record(
            name=name,
            generation=generation,
            metageneration=1,
            created=generation,
            updated=generation,
            size=stat.st_size,
            md5=content.md5,
            crc32c=content.crc32c,
            mtime_ns=stat.st_mtime_ns,
            inode=stat.st_ino,
            properties=properties,
        )
        self._save(bucket, record)
        return record

    def _save(self, bucket: str, record: Record) -> None:
        folder = self._folder(bucket, record.name)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / "unfinished"
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.replace(folder / f"{record.generation}.json")

    def _records(self, bucket: str, name: str) -> Iterator[Record]:
        for path in self._folder(bucket, name).glob("*.json"):
            yield Record(**json.loads(path.read_text()))

    def _forget(self, bucket: str, name: str, keep: int | None = None) -> None:
        folder = self._folder(bucket, name)
        for path in folder.glob("*"):
            if path.name != f"{keep}.json":
                path.unlink()
        if keep is None:
            folder.rmdir()

    def _next_generation(self) -> int:
        self._last_generation = max(_now(), self._last_generation + 1)
        return self._last_generation

    def _folder(self, bucket: str, name: str) -> Path:
        # A name may be longer than a file name can be, and may hold slashes.
        return self._meta / bucket / hashlib.sha256(name.encode()).hexdigest()

    def _directory(self, bucket: str) -> Path:
        path = self._root / bucket
        if not BUCKET_NAME.fullmatch(bucket) or not path.is_dir():
            raise NotFound("The specified bucket does not exist.")
        return path

    def _path(self, bucket: str, name: str) -> Path:
        if not _is_storable(name):
            raise StorageError(f"The local storage server cannot hold an object of this name: '{name}'")
        return self._directory(bucket).joinpath(*name.split("/"))

    def _remove_empty_folders(self, bucket: str, folder: Path) -> None:
        top = self._directory(bucket)
        with contextlib.suppress(OSError):  # not empty
            while folder != top:
                folder.rmdir()
                folder = folder.parent


def _now() -> int:
    return time.time_ns() // 1000


def _is_storable(name: str) -> bool:
    """Say whether a file below the bucket's directory can have this name."""
    return "\0" not in name and all(
        part not in ("", ".", "..") and len(part.encode()) <= 255 for part in name.split("/")
    )


def _make_room(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError("The local storage server cannot hold an object below another object.") from error
    if path.is_dir():
        raise StorageError("The local storage server cannot hold an object above other objects.")
