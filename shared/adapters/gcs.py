"""Objects in a Google Cloud Storage bucket. STORAGE_EMULATOR_HOST redirects the official client to an emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from shared.adapters.google_failures import FAILURES
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.ports import Blob, Listed

ATTEMPT_SECONDS = 10.0
TOTAL_SECONDS = 30.0

T = TypeVar("T")


class GcsBlobs:
    """`shared.ports.Blobs` and `Shelf` over one bucket, and files of it for bulk data."""

    def __init__(self, bucket: storage.Bucket, patience: float = TOTAL_SECONDS) -> None:
        """Try each request again for `patience` seconds."""
        self._bucket = bucket
        self._sent: dict[str, Any] = {"timeout": ATTEMPT_SECONDS, "retry": DEFAULT_RETRY.with_timeout(patience)}

    @classmethod
    def connect(cls, project: str, bucket: str) -> GcsBlobs:
        """Return the bucket of that name; nothing is sent yet."""
        return cls(storage.Client(project=project).bucket(bucket))

    def read(self, name: str) -> Blob | None:
        """Return the object, or None if there is none. Raises Unavailable."""
        blob = self._bucket.blob(name)
        try:
            data = _answer(partial(blob.download_as_bytes, **self._sent))
        except exceptions.NotFound:
            return None
        return Blob(data, int(blob.generation))

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        """Write the object if it still is at `if_generation`.

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
                )
            )
        except exceptions.PreconditionFailed as error:
            raise PreconditionFailed(f"{name} is no longer at generation {if_generation}") from error
        except exceptions.NotFound as error:
            raise self._no_bucket() from error
        return int(blob.generation)

    def download(self, prefix: str, folder: Path) -> list[Path]:
        """Save the objects under `prefix` as numbered files in `folder`. Raises Unavailable, Misconfigured."""
        return list(self.stream(prefix, folder))

    def stream(self, prefix: str, folder: Path) -> Iterator[Path]:
        """Yield the objects under `prefix` in the order of their names, each saved as a file in `folder` by then.

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
                _answer(partial(blob.delete, **self._sent))

    def _listed(self, prefix: str) -> list[storage.Blob]:
        pages = self._bucket.list_blobs(prefix=prefix, **self._sent)
        try:
            return _answer(lambda: list(pages))
        except exceptions.NotFound as error:
            raise self._no_bucket() from error

    def _no_bucket(self) -> Misconfigured:
        return Misconfigured(f"bucket {self._bucket.name} does not exist; create it or set PIX_BUCKET")


def _answer(request: Callable[[], T]) -> T:
    """Return what `request` returns; NotFound and PreconditionFailed pass, other errors become Unavailable."""
    try:
        return request()
    except (exceptions.NotFound, exceptions.PreconditionFailed):
        raise
    except FAILURES as error:
        raise Unavailable(f"Cloud Storage: {type(error).__name__}") from error
