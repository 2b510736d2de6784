"""Parts of a request: path, preconditions, byte range, properties and checksums."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import unquote

from starlette.requests import Request

from infra.local.storage.errors import StorageError
from infra.local.storage.preconditions import Preconditions
from infra.local.storage.staging import CHUNK_BYTES

# The fields of an object resource that clients may set; the server sets the rest.
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
    """Return the first and last byte of a Range header; raises StorageError if it holds no byte of the object.

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
    """Yield the bytes from first to last, inclusive, and close the file."""
    with content:
        content.seek(first)
        left = last - first + 1
        while left > 0 and (data := content.read(min(CHUNK_BYTES, left))):
            left -= len(data)
            yield data


def path_part(request: Request, key: str) -> str:
    """Return a parameter of the path, percent-decoded."""
    return unquote(request.path_params[key])


def object_address(request: Request) -> tuple[str, str]:
    """Return the bucket and the name of the path's object."""
    return path_part(request, "bucket"), path_part(request, "name")


def base_url(request: Request) -> str:
    """Return the server's URL as the client knows it."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _number(request: Request, key: str) -> int | None:
    # In any case: the Python client sends ifMetaGenerationNotMatch in uploads, ifMetagenerationNotMatch elsewhere.
    value = {name.lower(): value for name, value in request.query_params.items()}.get(key.lower())
    try:
        return None if value is None else int(value)
    except ValueError as error:
        raise StorageError(f"Invalid value for {key}: '{value}'") from error


def generation(request: Request, key: str = "generation") -> int | None:
    """Return the requested generation, or None for the live one."""
    return _number(request, key)


def preconditions(request: Request, subject: str = "") -> Preconditions:
    """Return the preconditions on the object, or with subject "Source" on the source of a copy."""
    return Preconditions(
        generation_match=_number(request, f"if{subject}GenerationMatch"),
        generation_not_match=_number(request, f"if{subject}GenerationNotMatch"),
        metageneration_match=_number(request, f"if{subject}MetagenerationMatch"),
        metageneration_not_match=_number(request, f"if{subject}MetagenerationNotMatch"),
    )


def upload_name(request: Request, metadata: Mapping[str, Any]) -> str:
    """Return the name of the uploaded object; raises StorageError if it is missing."""
    name = request.query_params.get("name") or metadata.get("name")
    if not name:
        raise StorageError("Required: the object's name.")
    return str(name)


def writable(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that clients may set."""
    return {key: value for key, value in properties.items() if key in WRITABLE and value is not None}


def whole_range(request: Request) -> str:
    """Return the Content-Range of an upload in one request."""
    size = int(request.headers.get("content-length", 0))
    return f"bytes 0-{size - 1}/{size}" if size else "bytes */0"


def declared_hashes(request: Request) -> dict[str, str]:
    """Return the checksums of the header X-Goog-Hash, by their names in an object resource."""
    hashes = dict(
        item.strip().partition("=")[::2] for item in request.headers.get("x-goog-hash", "").split(",") if item
    )
    return {{"md5": "md5Hash"}.get(kind, kind): value for kind, value in hashes.items()}
