"""Buckets, objects and errors in the form of Cloud Storage's JSON API."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from infra.local.storage.errors import StorageError
from infra.local.storage.records import ObjectRecord


def bucket_resource(name: str, created: int, base_url: str) -> dict[str, Any]:
    """Return the resource of a bucket; `created` is in microseconds since 1970."""
    return {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "selfLink": f"{base_url}/storage/v1/b/{name}",
        "projectNumber": "0",
        "metageneration": "1",
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "etag": "CAE=",
        "timeCreated": rfc3339(created),
        "updated": rfc3339(created),
    }


def object_resource(bucket: str, record: ObjectRecord, base_url: str) -> dict[str, Any]:
    """Return the resource of an object."""
    path = f"b/{bucket}/o/{quote(record.name, safe='')}"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{record.name}/{record.generation}",
        "name": record.name,
        "bucket": bucket,
        "selfLink": f"{base_url}/storage/v1/{path}",
        "mediaLink": f"{base_url}/download/storage/v1/{path}?generation={record.generation}&alt=media",
        "generation": str(record.generation),
        "metageneration": str(record.metageneration),
        "storageClass": "STANDARD",
        "size": str(record.size),
        "md5Hash": record.md5,
        "crc32c": record.crc32c,
        "etag": etag(record),
        "timeCreated": rfc3339(record.created),
        "updated": rfc3339(record.updated),
        **record.properties,
    }


def object_response(bucket: str, record: ObjectRecord, base_url: str) -> Response:
    """Return the response with an object's resource."""
    return JSONResponse(object_resource(bucket, record, base_url))


def media_headers(record: ObjectRecord) -> dict[str, str]:
    """Return the headers of an object's content."""
    return {
        "content-type": str(record.properties.get("contentType", "application/octet-stream")),
        "accept-ranges": "bytes",
        "etag": etag(record),
        "x-goog-generation": str(record.generation),
        "x-goog-metageneration": str(record.metageneration),
        "x-goog-hash": f"crc32c={record.crc32c},md5={record.md5}",
        "x-goog-storage-class": "STANDARD",
        "x-goog-stored-content-encoding": "identity",
        "x-goog-stored-content-length": str(record.size),
    }


def error_response(error: StorageError) -> Response:
    """Return the response to a refused request."""
    if error.status == 304:
        return Response(status_code=304)
    details = {"message": str(error), "domain": "global", "reason": error.reason}
    body = {"error": {"code": error.status, "message": str(error), "errors": [details]}}
    return JSONResponse(body, status_code=error.status)


def etag(record: ObjectRecord) -> str:
    """Return an entity tag that changes with generation and metageneration."""
    return urlsafe_b64encode(f"{record.generation}/{record.metageneration}".encode()).decode()


def page_token(name: str) -> str:
    """Return the token of the page that begins after a name."""
    return urlsafe_b64encode(name.encode()).decode()


def name_of_token(token: str | None) -> str:
    """Return the name after which a page begins; raises StorageError for an invalid token.

    >>> name_of_token(page_token("a/b"))
    'a/b'
    """
    try:
        return urlsafe_b64decode(token or "").decode()
    except ValueError as error:
        raise StorageError("Invalid page token.") from error


def rfc3339(microseconds: int) -> str:
    """Format a time in microseconds since 1970.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
