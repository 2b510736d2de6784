"""The web server: Cloud Storage's JSON API over a directory."""

import json
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.loopback_only import LoopbackOnly
from infra.local.storage.api import routes
from infra.local.storage.errors import StorageError
from infra.local.storage.objects import ObjectStore
from infra.local.storage.resources import error_response


class EncodedPath:
    """Middleware that routes by the percent-encoded path, as an object's name may hold encoded slashes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii")}
        await self._app(scope, receive, send)


def build_app(store: ObjectStore) -> ASGIApp:
    """Build the web application over a store."""
    return LoopbackOnly(EncodedPath(Starlette(routes=routes(store), exception_handlers={StorageError: _refuse})))


def run(root: Path, host: str, port: int) -> None:
    """Serve the buckets in a directory until SIGTERM or Ctrl-C; print one JSON line with the port when ready."""
    config = uvicorn.Config(
        build_app(ObjectStore(root.resolve())), host=host, port=port, log_level="warning", lifespan="off"
    )
    _AnnouncingServer(config).run(sockets=[config.bind_socket()])


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    return error_response(error)


class _AnnouncingServer(uvicorn.Server):
    """A server that prints its address once it accepts connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()
        sys.stdout.write(json.dumps({"ready": True, "port": port, "url": f"http://{host}:{port}"}) + "\n")
        sys.stdout.flush()
