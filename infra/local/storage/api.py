"""The routes of Cloud Storage's JSON API, and the requests for buckets."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.storage.object_api import ObjectApi
from infra.local.storage.objects import ObjectStore
from infra.local.storage.requests import base_url, path_part
from infra.local.storage.resources import bucket_resource
from infra.local.storage.upload_api import UploadApi
from infra.local.storage.uploads import parse_json


class BucketApi:
    """The requests for buckets."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def list(self, request: Request) -> Response:
        """GET b."""
        prefix = request.query_params.get("prefix", "")
        names = [name for name in self._store.buckets.names() if name.startswith(prefix)]
        return JSONResponse({"kind": "storage#buckets", "items": [self._resource(request, name) for name in names]})

    async def create(self, request: Request) -> Response:
        """POST b."""
        name = str(parse_json(await request.body()).get("name", ""))
        self._store.buckets.create(name)
        return JSONResponse(self._resource(request, name))

    async def get(self, request: Request) -> Response:
        """GET b/bucket."""
        return JSONResponse(self._resource(request, path_part(request, "bucket")))

    async def delete(self, request: Request) -> Response:
        """DELETE b/bucket."""
        await run_in_threadpool(self._store.delete_bucket, path_part(request, "bucket"))
        return Response(status_code=204)

    def _resource(self, request: Request, name: str) -> dict[str, Any]:
        return bucket_resource(name, self._store.buckets.created(name), base_url(request))


def routes(store: ObjectStore) -> list[Route]:
    """Return the routes of the JSON API over a store.

    Source: https://cloud.google.com/storage/docs/json_api/v1
    """
    buckets, objects, uploads = BucketApi(store), ObjectApi(store), UploadApi(store)
    bucket, one = "/storage/v1/b/{bucket}", "/storage/v1/b/{bucket}/o/{name}"
    target = "b/{to_bucket}/o/{to_name}"
    return [
        Route("/storage/v1/b", buckets.list, methods=["GET"]),
        Route("/storage/v1/b", buckets.create, methods=["POST"]),
        Route(bucket, buckets.get, methods=["GET"]),
        Route(bucket, buckets.delete, methods=["DELETE"]),
        Route(f"{bucket}/o", objects.list, methods=["GET"]),
        Route(one, objects.get, methods=["GET"]),
        Route(f"/download{one}", objects.get, methods=["GET"]),
        Route(one, objects.update, methods=["PATCH", "PUT"]),
        Route(one, objects.delete, methods=["DELETE"]),
        Route(f"{one}/compose", objects.compose, methods=["POST"]),
        Route(f"{one}/copyTo/{target}", objects.copy, methods=["POST"]),
        Route(f"{one}/rewriteTo/{target}", objects.rewrite, methods=["POST"]),
        Route(f"/upload{bucket}/o", uploads.begin, methods=["POST"]),
        Route(f"/upload{bucket}/o", uploads.add_chunk, methods=["PUT"]),
        Route(f"/upload{bucket}/o", uploads.cancel, methods=["DELETE"]),
    ]
