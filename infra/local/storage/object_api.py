"""The requests for objects, but for uploads.

Handlers run on the event loop and access files in threads, so that a large object does not block other requests.
"""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from infra.local.storage.errors import StorageError
from infra.local.storage.objects import ObjectStore
from infra.local.storage.preconditions import NO_PRECONDITIONS, Preconditions
from infra.local.storage.records import ObjectRecord
from infra.local.storage.requests import (
    WRITABLE,
    base_url,
    generation,
    object_address,
    parse_range,
    path_part,
    preconditions,
    read_range,
    writable,
)
from infra.local.storage.resources import (
    media_headers,
    name_of_token,
    object_resource,
    object_response,
    page_token,
)
from infra.local.storage.uploads import parse_json

UNSUPPORTED = {"matchGlob", "softDeleted"}
"""Parameters of a listing whose neglect would return wrong objects."""

PAGE_OBJECTS = 1000
"""Entries of a page by default, as in production."""


class ObjectApi:
    """The requests for objects, but for uploads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def list(self, request: Request) -> Response:
        """GET b/bucket/o."""
        return JSONResponse(await run_in_threadpool(self._page, request))

    async def get(self, request: Request) -> Response:
        """GET b/bucket/o/name: the resource, or with alt=media the content."""
        if request.query_params.get("alt") == "media":
            return await run_in_threadpool(self._media, request)
        address = object_address(request)
        record = await run_in_threadpool(self._store.get, *address, preconditions(request), generation(request))
        return object_response(address[0], record, base_url(request))

    async def update(self, request: Request) -> Response:
        """PATCH (some properties) or PUT (all) b/bucket/o/name."""
        changes = writable(parse_json(await request.body()))
        if request.method == "PUT":
            changes = dict.fromkeys(WRITABLE) | changes
        address = object_address(request)
        record = await run_in_threadpool(self._store.update, *address, changes, preconditions(request))
        return object_response(address[0], record, base_url(request))

    async def delete(self, request: Request) -> Response:
        """DELETE b/bucket/o/name."""
        address = object_address(request)
        await run_in_threadpool(self._store.delete, *address, preconditions(request), generation(request))
        return Response(status_code=204)

    async def copy(self, request: Request) -> Response:
        """POST b/bucket/o/name/copyTo/b/bucket/o/name."""
        overrides = parse_json(await request.body())
        record = await run_in_threadpool(self._copy, request, overrides)
        return object_response(path_part(request, "to_bucket"), record, base_url(request))

    async def rewrite(self, request: Request) -> Response:
        """POST b/bucket/o/name/rewriteTo/b/bucket/o/name, always complete in one call."""
        overrides = parse_json(await request.body())
        record = await run_in_threadpool(self._copy, request, overrides)
        size = str(record.size)
        resource = object_resource(path_part(request, "to_bucket"), record, base_url(request))
        done = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        return JSONResponse({**done, "resource": resource})

    async def compose(self, request: Request) -> Response:
        """POST b/bucket/o/name/compose."""
        order = parse_json(await request.body())
        record = await run_in_threadpool(self._compose, request, order)
        return object_response(path_part(request, "bucket"), record, base_url(request))

    def _copy(self, request: Request, overrides: dict[str, Any]) -> ObjectRecord:
        source_generation = generation(request, "sourceGeneration")
        source, content = self._store.open(
            *object_address(request), preconditions(request, "Source"), source_generation
        )
        staged = self._store.stage()
        try:
            with content:
                staged.copy(content)
            properties = writable(overrides) or source.properties
            to_bucket, to_name = path_part(request, "to_bucket"), path_part(request, "to_name")
            return self._store.put(to_bucket, to_name, staged, properties, preconditions(request))
        finally:
            staged.discard()

    def _compose(self, request: Request, order: dict[str, Any]) -> ObjectRecord:
        bucket, name = object_address(request)
        staged = self._store.stage()
        try:
            for source in order.get("sourceObjects", []):
                expected = source.get("objectPreconditions", {}).get("ifGenerationMatch")
                unchanged = NO_PRECONDITIONS if expected is None else Preconditions(generation_match=int(expected))
                with self._store.open(bucket, source["name"], unchanged)[1] as content:
                    staged.copy(content)
            properties = writable(order.get("destination", {}))
            return self._store.put(bucket, name, staged, properties, preconditions(request))
        finally:
            staged.discard()

    def _media(self, request: Request) -> Response:
        record, content = self._store.open(*object_address(request), preconditions(request), generation(request))
        headers = media_headers(record)
        wanted = request.headers.get("range")
        try:
            first, last = parse_range(wanted, record.size) if wanted else (0, record.size - 1)
        except StorageError:
            content.close()
            return Response(status_code=416, headers={"content-range": f"bytes */{record.size}"})
        headers["content-length"] = str(last - first + 1)
        if wanted:
            headers["content-range"] = f"bytes {first}-{last}/{record.size}"
        body = read_range(content, first, last)  # closes the file
        return StreamingResponse(body, status_code=206 if wanted else 200, headers=headers)

    def _page(self, request: Request) -> dict[str, Any]:
        query, bucket = request.query_params, path_part(request, "bucket")
        if refused := UNSUPPORTED & query.keys():
            raise StorageError(f"The local storage server does not support {', '.join(sorted(refused))}.")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = name_of_token(query.get("pageToken"))
        start, end = query.get("startOffset", ""), query.get("endOffset")
        names = [n for n in self._store.buckets.objects(bucket, prefix) if start <= n and (not end or n < end)]
        # Objects and folded prefixes share one order and one limit, so a page holds both.
        entries = [e for e in sorted({fold(n, prefix, delimiter) for n in names}) if e[0] > after]
        limit = int(query.get("maxResults") or PAGE_OBJECTS)
        page, more = entries[:limit], len(entries) > limit
        records = self._store.records(bucket, [name for name, folded in page if not folded])
        return {
            "kind": "storage#objects",
            "items": [object_resource(bucket, record, base_url(request)) for record in records],
            "prefixes": [name for name, folded in page if folded],
            **({"nextPageToken": page_token(page[-1][0])} if more else {}),
        }


def fold(name: str, prefix: str, delimiter: str | None) -> tuple[str, bool]:
    """Cut a name after the first delimiter that follows the prefix; return it, and True if it was cut.

    >>> fold("models/v1/model.onnx", "models/", "/"), fold("models/current.json", "models/", "/")
    (('models/v1/', True), ('models/current.json', False))
    """
    head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
    return (prefix + head + found, True) if found else (name, False)
