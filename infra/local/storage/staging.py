"""The content of an object before it is visible: a temporary file and its checksums."""

import hashlib
import os
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import BinaryIO

import google_crc32c

CHUNK_BYTES = 1 << 20


class StagedContent:
    """A temporary file in `directory`, with the checksums of its bytes so far."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(dir=directory)
        self.path = Path(path)
        self._file = os.fdopen(descriptor, "wb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()  # type: ignore[no-untyped-call] # the package has no annotations
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._md5.update(data)
        self._crc32c.update(data)  # type: ignore[no-untyped-call] # the package has no annotations
        self.size += len(data)

    def copy(self, source: BinaryIO) -> None:
        """Append all bytes of an open file."""
        while data := source.read(CHUNK_BYTES):
            self.write(data)

    def close(self) -> None:
        """Finish writing."""
        self._file.close()

    def discard(self) -> None:
        """Remove the temporary file, unless it has become an object."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def md5(self) -> str:
        """The MD5 in base64."""
        return b64encode(self._md5.digest()).decode()

    @property
    def crc32c(self) -> str:
        """The CRC32C, big endian, in base64."""
        digest: bytes = self._crc32c.digest()  # type: ignore[no-untyped-call] # the package has no annotations
        return b64encode(digest).decode()
