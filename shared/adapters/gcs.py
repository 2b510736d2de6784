"""Objects in a Google Cloud Storage bucket. STORAGE_EMULATOR_HOST redirects the official client to an emulator."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from shared.adapters.google_failures import FAILURES, credentials_needed
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.ports.blobs import Blob, Checksum, Listed

ATTEMPT_SECONDS = 10.0
TOTAL_SECONDS = 30.0
CHUNK = 8 * 1024 * 1024  # bytes
STORAGE_FAILURES = (*FAILURES, InvalidResponse, DataCorruption)
"""FAILURES and those of transfers: an unexpected status amid an upload, and a wrong checksum."""

T = TypeVar("T")


class GcsBlobs:
    """`shared.ports.blobs.Blobs`, `Shelf` and `shared.learning.ports.SharedArchive` over a bucket, in bulk."""

    def __init__(self, bucket: storage.Bucket, patience: float = TOTAL_SECONDS) -> None:
        """Retry each request for `patience` seconds."""
        self._bucket = bucket
        attempt = min(ATTEMPT_SECONDS, patience)
        self._sent: dict[str, Any] = {"timeout": attempt, "retry": DEFAULT_RETRY.with_timeout(patience)}

    @classmethod
    def connect(cls, project: str, bucket: str, patience: float = TOTAL_SECONDS) -> GcsBlobs:
        """Return the bucket of that name, before any request. Raises Misconfigured, Unavailable for credentials."""
        with credentials_needed():
            return cls(storage.Client(project=project).bucket(bucket), patience)

    def read(self, name: str) -> Blob | None:
        """Return the object, or None if there is none. Raises Unavailable."""
        blob = self._bucket.blob(name)
        try:
            data = _answer(partial(blob.download_as_bytes, **self._sent), exceptions.NotFound)
        except exceptions.NotFound:
            return None
        return Blob(data, int(blob.generation))

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        """Write the object if it is still at `if_generation`, and return the new generation.

        Raises PreconditionFailed, Unavailable, Misconfigured.
        """
        blob = self._bucket.blob(name)
        try:
            _answer(
                partial(
                    blob.upload_from_string,
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=if_generation,
                    **self._sent,
                ),
                exceptions.NotFound,
                exceptions.PreconditionFailed,
            )
        except exceptions.PreconditionFailed as error:
            raise PreconditionFailed(f"{name} is no longer at generation {if_generation}") from error
        except exceptions.NotFound as error:
            raise self._no_bucket() from error
        return int(blob.generation)

    def create(self, name: str, write: Callable[[BinaryIO], None]) -> bool:
        """Create the object from the bytes that `write` writes; return whether there was none before.

        It is sent in chunks of CHUNK bytes, and exists once the last of them has arrived. Raises Unavailable,
        Misconfigured, and the errors of `write`.
        """
        blob = self._bucket.blob(name)
        if _answer(partial(blob.exists, **self._sent)):
            return False
        try:
            with blob.open("wb", CHUNK, ignore_flush=True, if_generation_match=0, **self._sent) as file:
                write(file)
        except STORAGE_FAILURES as error:
            if _status(error) == HTTPStatus.PRECONDITION_FAILED:  # another process created it meanwhile
                return False
            if _status(error) == HTTPStatus.NOT_FOUND:
                raise self._no_bucket() from error
            raise Unavailable(f"Cloud Storage: {type(error).__name__}") from error
        return True

    def fetch(self, name: str, file: Path) -> bool:
        """Save the object as a file; return whether it exists. Raises Unavailable."""
        try:
            _answer(partial(self._bucket.blob(name).download_to_filename, file, **self._sent), exceptions.NotFound)
        except exceptions.NotFound:
            return False
        return True

    def checksum(self, name: str) -> Checksum | None:
        """Return the checksum of the object, None if there is none. Raises Unavailable, Misconfigured.

        An object that was composed of others has no MD5: Misconfigured, as the product writes none.
        """
        blob = _answer(partial(self._bucket.get_blob, name, **self._sent))
        if blob is None:
            return None
        if blob.md5_hash is None:
            raise Misconfigured(f"{name} has no MD5: it was composed of other objects")
        return Checksum(base64.b64decode(blob.md5_hash).hex(), int(blob.size))

    def copy(self, name: str, target: str) -> None:
        """Copy the object within the bucket, unless the target exists. Raises Unavailable, Misconfigured."""
        source, copied = self._bucket.blob(name), self._bucket.blob(target)
        token = None
        try:
            while True:
                token, _, _ = _answer(
                    partial(copied.rewrite, source, token, if_generation_match=0, **self._sent),
                    exceptions.NotFound,
                    exceptions.PreconditionFailed,
                )
                if token is None:
                    return
        except exceptions.PreconditionFailed:
            return
        except exceptions.NotFound as error:
            raise Misconfigured(f"{name} does not exist in bucket {self._bucket.name}") from error

    def download(self, prefix: str, folder: Path) -> list[Path]:
        """Save the objects under `prefix` as numbered files in `folder`. Raises Unavailable, Misconfigured."""
        return list(self.stream(prefix, folder))

    def stream(self, prefix: str, folder: Path) -> Iterator[Path]:
        """Save the objects under `prefix` as files in `folder`, by name, and yield each file once it is complete.

        Raises Unavailable, Misconfigured.
        """
        for i, blob in enumerate(self._listed(prefix)):
            file = folder / f"{i:06d}-{Path(blob.name).name}"
            _answer(partial(blob.download_to_filename, file, **self._sent))
            yield file

    def listed(self, prefix: str) -> list[Listed]:
        """Return the objects under `prefix`, by name. Raises Unavailable, Misconfigured."""
        return [Listed(blob.name, blob.updated) for blob in self._listed(prefix)]

    def delete(self, prefix: str) -> None:
        """Delete the objects under `prefix`. Raises Unavailable, Misconfigured."""
        for blob in self._listed(prefix):
            with suppress(exceptions.NotFound):  # gone already
                _answer(partial(blob.delete, **self._sent), exceptions.NotFound)

    def _listed(self, prefix: str) -> list[storage.Blob]:
        pages = self._bucket.list_blobs(prefix=prefix, **self._sent)
        try:
            return _answer(lambda: list(pages), exceptions.NotFound)
        except exceptions.NotFound as error:
            raise self._no_bucket() from error

    def _no_bucket(self) -> Misconfigured:
        return Misconfigured(f"bucket {self._bucket.name} does not exist; create it, or name another")


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an error, None if Cloud Storage did not answer."""
    return error.response.status_code if isinstance(error, InvalidResponse) else getattr(error, "code", None)


def _answer(request: Callable[[], T], *expected: type[exceptions.GoogleAPICallError]) -> T:
    """Return the result of `request`; errors of the `expected` types pass, others become Unavailable."""
    try:
        return request()
    except expected:
        raise
    except STORAGE_FAILURES as error:
        raise Unavailable(f"Cloud Storage: {type(error).__name__}") from error
