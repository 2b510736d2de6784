"""What a request says: its path, its preconditions, the range of bytes it wants."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import unquote

from starlette.requests import Request

from infra.local.storage.objects import CHUNK_BYTES, Conditions, StorageError

# What a client may set; anything else in an object resource is the server's to say.
WRITABLE = {
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def parse_range(header: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte that are asked for; raises StorageError if there are none.

    >>> parse_range("bytes=2-", 10), parse_range("bytes=-3", 10), parse_range("bytes=0-99", 10)
    ((2, 9), (7, 9), (0, 9))
    """
    match = _RANGE.fullmatch(header)
    if match is None or not any(match.groups()):
        raise StorageError("Invalid range.")
    first, last = match.groups()
    if first == "":
        first, last = str(max(0, size - int(last))), ""
    bounds = int(first), min(int(last or size), size - 1)
    if bounds[0] > bounds[1]:
        raise StorageError("The requested range cannot be satisfied.")
    return bounds


def read_range(content: BinaryIO, first: int, last: int) -> Iterator[bytes]:
    """Yield the bytes from first to last, both included, and close the file."""
    with content:
        content.seek(first)
        left = last - first + 1
        while left > 0 and (data := content.read(min(CHUNK_BYTES, left))):
            left -= len(data)
            yield data


def part(request: Request, key: str) -> str:
    """Return a decoded part of the path."""
    return unquote(request.path_params[key])


def address(request: Request) -> tuple[str, str]:
    """Return the bucket and the name of the object that the path names."""
    return part(request, "bucket"), part(request, "name")


def base_url(request: Request) -> str:
    """Return the address under which the client reached the server."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _number(request: Request, key: str) -> int | None:
    # The Python client writes ifMetaGenerationNotMatch when it uploads and ifMetagenerationNotMatch elsewhere.
    value = {name.lower(): value for name, value in request.query_params.items()}.get(key.lower())
    try:
        return None if value is None else int(value)
    except ValueError as error:
        raise StorageError(f"Invalid value for {key}: '{value}'") from error


def generation(request: Request, key: str = "generation") -> int | None:
    """Return the one generation that the client wants, or None."""
    return _number(request, key)


def conditions(request: Request, subject: str = "") -> Conditions:
    """Return the preconditions on the object, or on the source of a copy."""
    return Conditions(
        generation_match=_number(request, f"if{subject}GenerationMatch"),
        generation_not_match=_number(request, f"if{subject}GenerationNotMatch"),
        metageneration_match=_number(request, f"if{subject}MetagenerationMatch"),
        metageneration_not_match=_number(request, f"if{subject}MetagenerationNotMatch"),
    )


def upload_name(request: Request, metadata: Mapping[str, Any]) -> str:
    """Return the name of the object to be written; raises StorageError if there is none."""
    name = request.query_params.get("name") or metadata.get("name")
    if not name:
        raise StorageError("Required: the object's name.")
    return str(name)


def writable(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what a client may set of an object."""
    return {key: value for key, value in properties.items() if key in WRITABLE and value is not None}


def whole_range(request: Request) -> str:
    """Return the content range of an upload that comes in one request."""
    size = int(request.headers.get("content-length", 0))
    return f"bytes 0-{size - 1}/{size}" if size else "bytes */0"


def declared_hashes(request: Request) -> dict[str, str]:
    """Return the checksums that the client announced in X-Goog-Hash."""
    hashes = dict(
        part.strip().partition("=")[::2] for part in request.headers.get("x-goog-hash", "").split(",") if part
    )
    return {{"md5": "md5Hash"}.get(kind, kind): value for kind, value in hashes.items()}
