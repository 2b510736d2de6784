"""The requests of Cloud Storage's JSON API, answered from an object store."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from infra.local.storage.objects import ALWAYS, Conditions, ObjectStore, Record, Staged, StorageError
from infra.local.storage.requests import (
    WRITABLE,
    address,
    base_url,
    conditions,
    declared_hashes,
    generation,
    parse_range,
    part,
    read_range,
    upload_name,
    whole_range,
    writable,
)
from infra.local.storage.resources import (
    bucket_resource,
    media_headers,
    name_of_token,
    object_resource,
    page_token,
)
from infra.local.storage.uploads import (
    Session,
    Sessions,
    parse_content_range,
    parse_json,
    parse_multipart,
    receive,
    receive_chunk,
)

NOT_OFFERED = {"matchGlob", "softDeleted"}


class StorageApi:
    """The requests of the JSON API, answered from an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._sessions = Sessions()

    def routes(self) -> list[Route]:
        """Return what is served where."""
        bucket, thing = "/storage/v1/b/{bucket}", "/storage/v1/b/{bucket}/o/{name}"
        target = "b/{to_bucket}/o/{to_name}"
        return [
            Route("/storage/v1/b", self.list_buckets, methods=["GET"]),
            Route("/storage/v1/b", self.create_bucket, methods=["POST"]),
            Route(bucket, self.get_bucket, methods=["GET"]),
            Route(bucket, self.delete_bucket, methods=["DELETE"]),
            Route(f"{bucket}/o", self.list_objects, methods=["GET"]),
            Route(thing, self.get_object, methods=["GET"]),
            Route(f"/download{thing}", self.get_object, methods=["GET"]),
            Route(thing, self.update_object, methods=["PATCH", "PUT"]),
            Route(thing, self.delete_object, methods=["DELETE"]),
            Route(f"{thing}/compose", self.compose, methods=["POST"]),
            Route(f"{thing}/copyTo/{target}", self.copy, methods=["POST"]),
            Route(f"{thing}/rewriteTo/{target}", self.rewrite, methods=["POST"]),
            Route(f"/upload{bucket}/o", self.upload, methods=["POST"]),
            Route(f"/upload{bucket}/o", self.upload_chunk, methods=["PUT"]),
            Route(f"/upload{bucket}/o", self.cancel_upload, methods=["DELETE"]),
        ]

    async def list_buckets(self, request: Request) -> Response:
        """GET b."""
        prefix = request.query_params.get("prefix", "")
        names = [name for name in self._store.buckets() if name.startswith(prefix)]
        return JSONResponse({"kind": "storage#buckets", "items": [self._bucket(request, name) for name in names]})

    async def create_bucket(self, request: Request) -> Response:
        """POST b."""
        name = str(parse_json(await request.body()).get("name", ""))
        self._store.create_bucket(name)
        return JSONResponse(self._bucket(request, name))

    async def get_bucket(self, request: Request) -> Response:
        """GET b/bucket."""
        return JSONResponse(self._bucket(request, part(request, "bucket")))

    async def delete_bucket(self, request: Request) -> Response:
        """DELETE b/bucket."""
        await run_in_threadpool(self._store.delete_bucket, part(request, "bucket"))
        return Response(status_code=204)

    async def list_objects(self, request: Request) -> Response:
        """GET b/bucket/o."""
        return JSONResponse(await run_in_threadpool(self._page, request))

    async def get_object(self, request: Request) -> Response:
        """GET b/bucket/o/name: the resource, or with alt=media the bytes."""
        if request.query_params.get("alt") == "media":
            return await run_in_threadpool(self._media, request)
        record = await run_in_threadpool(self._store.get, *address(request), conditions(request), generation(request))
        return self._object(request, part(request, "bucket"), record)

    async def update_object(self, request: Request) -> Response:
        """PATCH (some properties) or PUT (all) b/bucket/o/name."""
        changes = writable(parse_json(await request.body()))
        if request.method == "PUT":
            changes = dict.fromkeys(WRITABLE) | changes
        record = await run_in_threadpool(self._store.update, *address(request), changes, conditions(request))
        return self._object(request, part(request, "bucket"), record)

    async def delete_object(self, request: Request) -> Response:
        """DELETE b/bucket/o/name."""
        await run_in_threadpool(self._store.delete, *address(request), conditions(request), generation(request))
        return Response(status_code=204)

    async def copy(self, request: Request) -> Response:
        """POST b/bucket/o/name/copyTo/b/bucket/o/name."""
        overrides = parse_json(await request.body())
        record = await run_in_threadpool(self._copy, request, overrides)
        return self._object(request, part(request, "to_bucket"), record)

    async def rewrite(self, request: Request) -> Response:
        """POST b/bucket/o/name/rewriteTo/b/bucket/o/name, always done in one call."""
        overrides = parse_json(await request.body())
        record = await run_in_threadpool(self._copy, request, overrides)
        size = str(record.size)
        resource = object_resource(part(request, "to_bucket"), record, base_url(request))
        done = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        return JSONResponse({**done, "resource": resource})

    async def compose(self, request: Request) -> Response:
        """POST b/bucket/o/name/compose."""
        order = parse_json(await request.body())
        record = await run_in_threadpool(self._compose, request, order)
        return self._object(request, part(request, "bucket"), record)

    async def upload(self, request: Request) -> Response:
        """POST upload/b/bucket/o: the whole object, or the beginning of a resumable upload."""
        kinds = {"media": self._upload_media, "multipart": self._upload_parts, "resumable": self._begin_upload}
        handler = kinds.get(request.query_params.get("uploadType", ""))
        if handler is None:
            raise StorageError("uploadType is media, multipart or resumable.")
        return await handler(request)

    async def upload_chunk(self, request: Request) -> Response:
        """PUT upload/b/bucket/o?upload_id=: a chunk, or the question how much has arrived."""
        session = self._sessions.get(request.query_params.get("upload_id", ""))
        chunk = parse_content_range(request.headers.get("content-range") or whole_range(request))
        if session.result is None:
            await receive_chunk(session, chunk, request.stream())
            if not chunk.completes(session.staged.size):
                return _more_wanted(session.staged.size)
            _check_hash(session.staged, declared_hashes(request))
            session.result = await run_in_threadpool(self._store.put, *_order(session))
        return self._object(request, session.bucket, session.result)

    async def cancel_upload(self, request: Request) -> Response:
        """DELETE upload/b/bucket/o?upload_id=."""
        self._sessions.cancel(request.query_params.get("upload_id", ""))
        return Response(status_code=499)

    async def _upload_media(self, request: Request) -> Response:
        staged = self._store.stage()
        properties = {"contentType": request.headers.get("content-type", "application/octet-stream")}
        try:
            await receive(request.stream(), staged)
            return await self._store_upload(request, upload_name(request, {}), staged, properties)
        finally:
            staged.discard()

    async def _upload_parts(self, request: Request) -> Response:
        metadata, content_type, content = parse_multipart(
            request.headers.get("content-type", ""), await request.body()
        )
        staged = self._store.stage()
        try:
            staged.write(content)
            _check_hash(staged, metadata)
            properties = writable({"contentType": content_type, **metadata})
            return await self._store_upload(request, upload_name(request, metadata), staged, properties)
        finally:
            staged.discard()

    async def _begin_upload(self, request: Request) -> Response:
        bucket, metadata = part(request, "bucket"), parse_json(await request.body())
        content_type = request.headers.get("x-upload-content-type")
        properties = writable({"contentType": content_type, **metadata})
        self._store.bucket_created(bucket)  # the bucket has to be there before the bytes are sent
        session = Session(
            bucket, upload_name(request, metadata), properties, conditions(request), self._store.stage()
        )
        self._sessions.add(session)
        where = f"{base_url(request)}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={session.id}"
        return Response(headers={"location": where, "x-guploader-uploadid": session.id})

    async def _store_upload(
        self, request: Request, name: str, staged: Staged, properties: dict[str, Any]
    ) -> Response:
        bucket = part(request, "bucket")
        record = await run_in_threadpool(self._store.put, bucket, name, staged, properties, conditions(request))
        return self._object(request, bucket, record)

    def _copy(self, request: Request, overrides: dict[str, Any]) -> Record:
        source_generation = generation(request, "sourceGeneration")
        source, content = self._store.open(*address(request), conditions(request, "Source"), source_generation)
        staged = self._store.stage()
        try:
            with content:
                staged.copy(content)
            properties = writable(overrides) or source.properties
            to_bucket, to_name = part(request, "to_bucket"), part(request, "to_name")
            return self._store.put(to_bucket, to_name, staged, properties, conditions(request))
        finally:
            staged.discard()

    def _compose(self, request: Request, order: dict[str, Any]) -> Record:
        bucket, name = address(request)
        staged = self._store.stage()
        try:
            for source in order.get("sourceObjects", []):
                expected = source.get("objectPreconditions", {}).get("ifGenerationMatch")
                unchanged = Conditions(generation_match=int(expected)) if expected is not None else ALWAYS
                with self._store.open(bucket, source["name"], unchanged)[1] as content:
                    staged.copy(content)
            properties = writable(order.get("destination", {}))
            return self._store.put(bucket, name, staged, properties, conditions(request))
        finally:
            staged.discard()

    def _media(self, request: Request) -> Response:
        record, content = self._store.open(*address(request), conditions(request), generation(request))
        headers = media_headers(record)
        asked = request.headers.get("range")
        try:
            first, last = parse_range(asked, record.size) if asked else (0, record.size - 1)
        except StorageError:
            content.close()
            return Response(status_code=416, headers={"content-range": f"bytes */{record.size}"})
        headers["content-length"] = str(last - first + 1)
        if asked:
            headers["content-range"] = f"bytes {first}-{last}/{record.size}"
        body = read_range(content, first, last)
        return StreamingResponse(body, status_code=206 if asked else 200, headers=headers)

    def _page(self, request: Request) -> dict[str, Any]:
        query, bucket = request.query_params, part(request, "bucket")
        if refused := NOT_OFFERED & query.keys():
            raise StorageError(f"The local storage server does not offer {', '.join(sorted(refused))}.")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = name_of_token(query.get("pageToken"))
        start, end = query.get("startOffset", ""), query.get("endOffset")
        names = [n for n in self._store.names(bucket, prefix) if start <= n and (not end or n < end)]
        entries = [e for e in sorted({fold(n, prefix, delimiter) for n in names}) if e[0] > after]
        limit = int(query.get("maxResults") or 1000)
        page, more = entries[:limit], len(entries) > limit
        records = self._store.records(bucket, [name for name, folded in page if not folded])
        return {
            "kind": "storage#objects",
            "items": [object_resource(bucket, record, base_url(request)) for record in records],
            "prefixes": [name for name, folded in page if folded],
            **({"nextPageToken": page_token(page[-1][0])} if more else {}),
        }

    def _bucket(self, request: Request, name: str) -> dict[str, Any]:
        return bucket_resource(name, self._store.bucket_created(name), base_url(request))

    def _object(self, request: Request, bucket: str, record: Record) -> Response:
        return JSONResponse(object_resource(bucket, record, base_url(request)))


def _order(session: Session) -> tuple[str, str, Staged, dict[str, Any], Conditions]:
    return session.bucket, session.name, session.staged, session.properties, session.conditions


def _more_wanted(size: int) -> Response:
    headers = {"range": f"bytes=0-{size - 1}"} if size else {}
    return Response(status_code=308, headers=headers)


def _check_hash(staged: Staged, declared: Mapping[str, Any]) -> None:
    actual = {"crc32c": staged.crc32c, "md5Hash": staged.md5}
    for kind, value in actual.items():
        if declared.get(kind) not in (None, value):
            raise StorageError(f"Provided {kind} does not match the content: '{declared[kind]}' is not '{value}'.")


def fold(name: str, prefix: str, delimiter: str | None) -> tuple[str, bool]:
    """Fold a name at the first delimiter after the prefix; the flag says whether it was folded."""
    head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
    return (prefix + head + found, True) if found else (name, False)
