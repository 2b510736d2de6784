"""The ways in which bytes arrive for an object: in one request, in two parts, or in many chunks."""

import re
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

import msgspec

from infra.local.storage.objects import Conditions, NotFound, Staged, StorageError

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class Session:
    """A resumable upload: what was asked for and what has arrived."""

    bucket: str
    name: str
    properties: dict[str, Any]
    conditions: Conditions
    staged: Staged
    result: Any = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Chunk:
    """The place of a chunk in its upload; `first` is None where the request carries no bytes."""

    first: int | None
    total: int | None

    def completes(self, size: int) -> bool:
        """Say whether the upload is whole once `size` bytes are there."""
        return self.total == size


def parse_content_range(header: str | None) -> Chunk:
    """Parse a chunk's Content-Range.

    >>> parse_content_range("bytes 0-9/10")
    Chunk(first=0, total=10)
    >>> parse_content_range("bytes */*")
    Chunk(first=None, total=None)
    """
    match = _CONTENT_RANGE.fullmatch(header or "")
    if match is None:
        raise StorageError(f"Failed to parse Content-Range header: '{header}'")
    first, _, total = match.groups()
    return Chunk(int(first) if first else None, None if total == "*" else int(total))


class Sessions:
    """The resumable uploads that are under way. They do not survive a restart: clients then start again."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        """Keep an upload that begins."""
        self._sessions[session.id] = session

    def get(self, upload_id: str) -> Session:
        """Return an upload; raises NotFound."""
        try:
            return self._sessions[upload_id]
        except KeyError as error:
            raise NotFound("Upload session not found; start the upload again.") from error

    def cancel(self, upload_id: str) -> None:
        """Forget an upload and what has arrived of it."""
        self.get(upload_id).staged.discard()
        del self._sessions[upload_id]


async def receive(body: AsyncIterator[bytes], staged: Staged) -> None:
    """Write a request's body into a staged file."""
    async for data in body:
        staged.write(data)


async def receive_chunk(session: Session, chunk: Chunk, body: AsyncIterator[bytes]) -> None:
    """Append a chunk, leaving out bytes that had arrived before; a chunk that leaves a gap is not stored."""
    if chunk.first is None or chunk.first > session.staged.size:
        return
    known = session.staged.size - chunk.first
    async for data in body:
        session.staged.write(data[known:])
        known = max(0, known - len(data))


def parse_multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], str | None, bytes]:
    """Split a multipart/related upload into metadata, content type and content."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = _parts(message_from_bytes(head, policy=policy.HTTP).get_boundary(), body)
    try:
        (_, metadata), (headers, content) = parts
    except ValueError as error:
        raise StorageError("A multipart upload has two parts: metadata and content.") from error
    return parse_json(metadata), message_from_bytes(headers, policy=policy.HTTP).get("content-type"), content


def parse_json(body: bytes) -> dict[str, Any]:
    """Decode a request's JSON object; an empty body is an empty object."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]) if body else {}
    except msgspec.DecodeError as error:
        raise StorageError(f"Parse Error: {error}") from error


def _parts(boundary: str | None, body: bytes) -> Iterable[tuple[bytes, bytes]]:
    # Content may hold any bytes, which the standard library's parser of mail does not keep as they are.
    delimiter = b"\r\n--" + (boundary or "").encode()
    for part in (b"\r\n" + body).split(delimiter)[1:-1]:
        headers, _, content = part.partition(b"\r\n\r\n")
        yield headers.strip(), content
