"""Objects in a directory, with the generations and preconditions of Cloud Storage.

gs://bucket/name is the file root/bucket/name, so that other programs can read and write the same objects. Metadata is
a record in root/.meta, valid only for the file with its size, time and inode. A write saves its record first. Then
the replacement of the file, one step, makes content and record visible together, so a kill at any time leaves the old
object or the new one. A file without a valid record was written by another program: its first reader saves a record,
with a generation derived from the file's time.
"""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from infra.local.storage.buckets import Buckets, make_folders
from infra.local.storage.errors import StorageConflict, StorageNotFound
from infra.local.storage.preconditions import NO_PRECONDITIONS, Preconditions
from infra.local.storage.records import ObjectRecord, RecordFiles
from infra.local.storage.staging import StagedContent


class ObjectStore:
    """Buckets and objects in a directory. It is thread-safe; one process at a time may own the directory."""

    def __init__(self, root: Path) -> None:
        self.buckets = Buckets(root)
        self._records = RecordFiles(root / ".meta")
        self._staging = root / ".staging"
        self._lock = threading.RLock()
        self._last_generation = 0
        shutil.rmtree(self._staging, ignore_errors=True)  # unfinished writes of an earlier owner

    def delete_bucket(self, bucket: str) -> None:
        """Delete an empty bucket; raises StorageNotFound or StorageConflict."""
        with self._lock:
            if self.buckets.objects(bucket):
                raise StorageConflict("The bucket you tried to delete is not empty.")
            shutil.rmtree(self.buckets.directory(bucket))
            self._records.remove_bucket(bucket)

    def stage(self) -> StagedContent:
        """Return an empty temporary file on the store's file system, which `put` can move into place."""
        return StagedContent(self._staging)

    def get(
        self,
        bucket: str,
        name: str,
        preconditions: Preconditions = NO_PRECONDITIONS,
        generation: int | None = None,
    ) -> ObjectRecord:
        """Return an object's record; raises StorageNotFound, ConditionNotMet or NotModified."""
        with self._lock:
            record = self._find(bucket, name)
            if record is None or generation not in (None, record.generation):
                raise StorageNotFound(f"No such object: {bucket}/{name}")
            preconditions.check(record, reading=True)
            return record

    def records(self, bucket: str, names: list[str]) -> list[ObjectRecord]:
        """Return the records of the named objects that exist."""
        with self._lock:
            return [record for name in names if (record := self._find(bucket, name))]

    def open(
        self,
        bucket: str,
        name: str,
        preconditions: Preconditions = NO_PRECONDITIONS,
        generation: int | None = None,
    ) -> tuple[ObjectRecord, BinaryIO]:
        """Return an object's record and content, which stays readable after the object is replaced or deleted."""
        with self._lock:
            record = self.get(bucket, name, preconditions, generation)
            return record, self.buckets.path(bucket, name).open("rb")

    def put(
        self,
        bucket: str,
        name: str,
        staged: StagedContent,
        properties: dict[str, Any],
        preconditions: Preconditions = NO_PRECONDITIONS,
    ) -> ObjectRecord:
        """Make staged content the object, atomically; raises ConditionNotMet, StorageNotFound or StorageError."""
        staged.close()
        with self._lock:
            found = self._find(bucket, name)
            preconditions.check(found)
            path = self.buckets.path(bucket, name)
            make_folders(path)
            generation = self._next_generation(found.generation if found else 0)
            # Staged and final file are one inode, so the record is valid as soon as the file is in place.
            record = self._save_new(bucket, name, staged, staged.path.stat(), generation, properties)
            staged.path.replace(path)
            self._records.keep_only(bucket, record)
            return record

    def delete(
        self,
        bucket: str,
        name: str,
        preconditions: Preconditions = NO_PRECONDITIONS,
        generation: int | None = None,
    ) -> None:
        """Delete an object; raises StorageNotFound or ConditionNotMet."""
        with self._lock:
            record = self.get(bucket, name, generation=generation)
            preconditions.check(record)
            path = self.buckets.path(bucket, name)
            path.unlink()
            self._records.remove(bucket, name)
            self.buckets.remove_empty_folders(bucket, path.parent)

    def update(
        self, bucket: str, name: str, changes: dict[str, Any], preconditions: Preconditions = NO_PRECONDITIONS
    ) -> ObjectRecord:
        """Change properties (None removes one) and increment the metageneration; raises as `delete`."""
        with self._lock:
            record = self.get(bucket, name)
            preconditions.check(record)
            properties = {key: value for key, value in {**record.properties, **changes}.items() if value is not None}
            changed = replace(record, metageneration=record.metageneration + 1, updated=_now(), properties=properties)
            self._records.save(bucket, changed)
            return changed

    def _find(self, bucket: str, name: str) -> ObjectRecord | None:
        path = self.buckets.path(bucket, name)
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if path.is_dir():
            return None
        records = list(self._records.of(bucket, name))
        return next((r for r in records if r.describes(stat)), None) or self._adopt(bucket, name, stat, records)

    def _adopt(self, bucket: str, name: str, stat: os.stat_result, older: list[ObjectRecord]) -> ObjectRecord:
        """Save the record of a file that another program wrote."""
        # The file may have kept an old time, as a copy does; its generation still has to be a later one.
        last = max((record.generation for record in older), default=0)
        summed = self.stage()  # for its checksums only
        try:
            with self.buckets.path(bucket, name).open("rb") as source:
                summed.copy(source)
        finally:
            summed.discard()
        record = self._save_new(bucket, name, summed, stat, max(stat.st_mtime_ns // 1000, last + 1), {})
        self._records.keep_only(bucket, record)
        return record

    def _save_new(
        self,
        bucket: str,
        name: str,
        content: StagedContent,
        stat: os.stat_result,
        generation: int,
        properties: dict[str, Any],
    ) -> ObjectRecord:
        record = ObjectRecord(
            name=name,
            generation=generation,
            metageneration=1,
            created=generation,  # a generation is the time of its write, in microseconds since 1970
            updated=generation,
            size=stat.st_size,
            md5=content.md5,
            crc32c=content.crc32c,
            mtime_ns=stat.st_mtime_ns,
            inode=stat.st_ino,
            properties=properties,
        )
        self._records.save(bucket, record)
        return record

    def _next_generation(self, found: int) -> int:
        # Two writes in one microsecond, or a clock set back, must not give one generation twice.
        self._last_generation = max(_now(), self._last_generation + 1, found + 1)
        return self._last_generation


def _now() -> int:
    return time.time_ns() // 1000
