"""The requests of uploads: https://cloud.google.com/storage/docs/uploads-downloads#uploads."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from infra.local.storage.errors import StorageError
from infra.local.storage.objects import ObjectStore
from infra.local.storage.records import ObjectRecord
from infra.local.storage.requests import (
    base_url,
    declared_hashes,
    path_part,
    preconditions,
    upload_name,
    whole_range,
    writable,
)
from infra.local.storage.resources import object_response
from infra.local.storage.staging import StagedContent
from infra.local.storage.uploads import (
    UploadSession,
    UploadSessions,
    parse_content_range,
    parse_json,
    parse_multipart,
    receive,
    receive_chunk,
)


class UploadApi:
    """The requests of uploads. The object appears with the last byte of its upload, never in part."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._sessions = UploadSessions()

    async def begin(self, request: Request) -> Response:
        """POST upload/b/bucket/o: a complete upload, or the start of a resumable one."""
        kinds = {"media": self._upload_media, "multipart": self._upload_parts, "resumable": self._begin_session}
        handler = kinds.get(request.query_params.get("uploadType", ""))
        if handler is None:
            raise StorageError("uploadType is media, multipart or resumable.")
        return await handler(request)

    async def add_chunk(self, request: Request) -> Response:
        """PUT upload/b/bucket/o?upload_id=: a chunk, or a query of the upload's status."""
        session = self._sessions.get(request.query_params.get("upload_id", ""))
        chunk = parse_content_range(request.headers.get("content-range") or whole_range(request))
        # A client that missed the last response repeats its chunk, and gets the object again.
        if session.result is None:
            await receive_chunk(session, chunk, request.stream())
            if not chunk.completes(session.staged.size):
                return _resume_incomplete(session.staged.size)
            _check_hashes(session.staged, declared_hashes(request))
            session.result = await run_in_threadpool(self._complete, session)
        return object_response(session.bucket, session.result, base_url(request))

    async def cancel(self, request: Request) -> Response:
        """DELETE upload/b/bucket/o?upload_id=."""
        self._sessions.cancel(request.query_params.get("upload_id", ""))
        return Response(status_code=499)

    async def _upload_media(self, request: Request) -> Response:
        staged = self._store.stage()
        properties = {"contentType": request.headers.get("content-type", "application/octet-stream")}
        try:
            await receive(request.stream(), staged)
            return await self._put(request, upload_name(request, {}), staged, properties)
        finally:
            staged.discard()

    async def _upload_parts(self, request: Request) -> Response:
        metadata, content_type, content = parse_multipart(
            request.headers.get("content-type", ""), await request.body()
        )
        staged = self._store.stage()
        try:
            staged.write(content)
            _check_hashes(staged, metadata)
            properties = writable({"contentType": content_type, **metadata})
            return await self._put(request, upload_name(request, metadata), staged, properties)
        finally:
            staged.discard()

    async def _begin_session(self, request: Request) -> Response:
        bucket, metadata = path_part(request, "bucket"), parse_json(await request.body())
        content_type = request.headers.get("x-upload-content-type")
        properties = writable({"contentType": content_type, **metadata})
        self._store.buckets.directory(bucket)  # refuse a missing bucket before the content is sent
        session = UploadSession(
            bucket, upload_name(request, metadata), properties, preconditions(request), self._store.stage()
        )
        self._sessions.add(session)
        url = f"{base_url(request)}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={session.id}"
        return Response(headers={"location": url, "x-guploader-uploadid": session.id})

    def _complete(self, session: UploadSession) -> ObjectRecord:
        staged, properties = session.staged, session.properties
        return self._store.put(session.bucket, session.name, staged, properties, session.preconditions)

    async def _put(self, request: Request, name: str, staged: StagedContent, properties: dict[str, Any]) -> Response:
        bucket = path_part(request, "bucket")
        record = await run_in_threadpool(self._store.put, bucket, name, staged, properties, preconditions(request))
        return object_response(bucket, record, base_url(request))


def _resume_incomplete(size: int) -> Response:
    """Return status 308 with the range that has arrived, from which the client continues."""
    headers = {"range": f"bytes=0-{size - 1}"} if size else {}
    return Response(status_code=308, headers=headers)


def _check_hashes(staged: StagedContent, declared: Mapping[str, Any]) -> None:
    actual = {"crc32c": staged.crc32c, "md5Hash": staged.md5}
    for kind, value in actual.items():
        if declared.get(kind) not in (None, value):
            raise StorageError(f"Provided {kind} does not match the content: '{declared[kind]}' is not '{value}'.")
