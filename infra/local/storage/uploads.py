"""The bodies of uploads: media in one request, metadata and media in two parts, or a resumable upload in chunks."""

import re
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

import msgspec

from infra.local.storage.errors import StorageError, StorageNotFound
from infra.local.storage.preconditions import Preconditions
from infra.local.storage.records import ObjectRecord
from infra.local.storage.staging import StagedContent

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class UploadSession:
    """A resumable upload: the request that began it and the content so far."""

    bucket: str
    name: str
    properties: dict[str, Any]
    preconditions: Preconditions
    staged: StagedContent
    result: ObjectRecord | None = None
    """The object, once the upload is complete."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class UploadChunk:
    """The Content-Range of a chunk."""

    first: int | None
    """Offset of the first byte; None in a request without content, which asks for the upload's status."""

    total: int | None
    """Size of the upload in bytes; None while the client does not know it."""

    def completes(self, size: int) -> bool:
        """Return True if an upload of `size` bytes so far is complete."""
        return self.total == size


def parse_content_range(header: str | None) -> UploadChunk:
    """Parse a chunk's Content-Range.

    >>> parse_content_range("bytes 0-9/10")
    UploadChunk(first=0, total=10)
    >>> parse_content_range("bytes */*")
    UploadChunk(first=None, total=None)
    """
    match = _CONTENT_RANGE.fullmatch(header or "")
    if match is None:
        raise StorageError(f"Failed to parse Content-Range header: '{header}'")
    first, _, total = match.groups()
    return UploadChunk(int(first) if first else None, None if total == "*" else int(total))


class UploadSessions:
    """The resumable uploads in progress. They do not survive a restart: clients then start again."""

    def __init__(self) -> None:
        self._sessions: dict[str, UploadSession] = {}

    def add(self, session: UploadSession) -> None:
        """Add a new upload."""
        self._sessions[session.id] = session

    def get(self, upload_id: str) -> UploadSession:
        """Return an upload; raises StorageNotFound."""
        try:
            return self._sessions[upload_id]
        except KeyError as error:
            raise StorageNotFound("Upload session not found; start the upload again.") from error

    def cancel(self, upload_id: str) -> None:
        """Remove an upload and its content; raises StorageNotFound."""
        self.get(upload_id).staged.discard()
        del self._sessions[upload_id]


async def receive(body: AsyncIterator[bytes], staged: StagedContent) -> None:
    """Write a request's body into a staged file."""
    async for data in body:
        staged.write(data)


async def receive_chunk(session: UploadSession, chunk: UploadChunk, body: AsyncIterator[bytes]) -> None:
    """Append a chunk without the bytes that are there already; ignore a chunk that would leave a gap."""
    if chunk.first is None or chunk.first > session.staged.size:
        return
    known = session.staged.size - chunk.first
    async for data in body:
        session.staged.write(data[known:])
        known = max(0, known - len(data))


def parse_multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], str | None, bytes]:
    """Split a multipart/related upload into metadata, content type and content; raises StorageError."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = _parts(message_from_bytes(head, policy=policy.HTTP).get_boundary(), body)
    try:
        (_, metadata), (headers, content) = parts
    except ValueError as error:
        raise StorageError("A multipart upload has two parts: metadata and content.") from error
    return parse_json(metadata), message_from_bytes(headers, policy=policy.HTTP).get("content-type"), content


def parse_json(body: bytes) -> dict[str, Any]:
    """Decode a request's JSON object; an empty body is an empty object. Raises StorageError."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]) if body else {}
    except msgspec.DecodeError as error:
        raise StorageError(f"Parse Error: {error}") from error


def _parts(boundary: str | None, body: bytes) -> Iterable[tuple[bytes, bytes]]:
    # Not by the standard library's parser of e-mail, which does not preserve arbitrary bytes.
    delimiter = b"\r\n--" + (boundary or "").encode()
    for part in (b"\r\n" + body).split(delimiter)[1:-1]:
        headers, _, content = part.partition(b"\r\n\r\n")
        yield headers.strip(), content
