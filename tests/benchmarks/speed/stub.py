"""A BigQuery that acknowledges without storing, in its own process, so that only the client is measured.

gRPC: AppendRows of the Storage Write API; every request is answered at once, and its rows and bytes are counted.
REST: `tabledata.insertAll` for the tutorial function, and `GET /counts` for the gRPC counts by table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import msgspec
import uvicorn
from google.cloud.bigquery_storage_v1.types import AppendRowsRequest, AppendRowsResponse
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_METHOD = "google.cloud.bigquery.storage.v1.BigQueryWrite"
_ACKNOWLEDGED = AppendRowsResponse.serialize(AppendRowsResponse(append_result=AppendRowsResponse.AppendResult()))


class Counts(Struct):
    """Counts of AppendRows to one table."""

    requests: int = 0
    rows: int = 0
    row_bytes: int = 0


class WriteStub:
    """The AppendRows method, over serialized messages."""

    def __init__(self) -> None:
        self.counts: dict[str, Counts] = defaultdict(Counts)

    async def append_rows(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        """Acknowledge each request."""
        stream = ""  # named in the first request of a connection
        async for data in requests:
            request = AppendRowsRequest.pb(AppendRowsRequest.deserialize(data))
            rows, stream = request.proto_rows.rows.serialized_rows, request.write_stream or stream
            counts = self.counts[_table(stream)]
            counts.requests += 1
            counts.rows += len(rows)
            counts.row_bytes += sum(map(len, rows))
            yield _ACKNOWLEDGED

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the gRPC handler, which does not deserialize messages."""
        rpc = grpc.stream_stream_rpc_method_handler(self.append_rows)
        return grpc.method_handlers_generic_handler(_METHOD, {"AppendRows": rpc})


def _table(stream: str) -> str:
    """Return the table of a stream, which is projects/{}/datasets/{}/tables/{}/streams/_default or shorter."""
    return stream.split("/")[5]


def rest(counts: Mapping[str, Counts]) -> Starlette:
    """Return the REST application."""

    async def insert_all(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({"kind": "bigquery#tableDataInsertAllResponse"})

    async def get_counts(_: Request) -> Response:
        return Response(msgspec.json.encode(dict(counts)), media_type="application/json")

    path = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll"
    return Starlette(routes=[Route(path, insert_all, methods=["POST"]), Route("/counts", get_counts)])


async def serve(grpc_port: int, rest_port: int) -> None:
    """Serve until SIGTERM."""
    stub = WriteStub()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((stub.handler(),))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(rest(stub.counts), port=rest_port, log_level="error", access_log=False, lifespan="off")
    await uvicorn.Server(config).serve()
    await server.stop(None)


def main() -> None:
    """Read the ports and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed.stub", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--rest-port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.grpc_port, options.rest_port))


if __name__ == "__main__":
    main()
