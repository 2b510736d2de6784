"""Serve a directory as Cloud Storage."""

import argparse
import json
import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local import storage
from infra.local.storage.api import StorageApi
from infra.local.storage.objects import ObjectStore, StorageError
from infra.local.storage.resources import error_response


class EncodedPath:
    """Route by the path as it was sent: an object's name may hold encoded slashes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii")}
        await self._app(scope, receive, send)


def build_app(store: ObjectStore) -> ASGIApp:
    """Build the web application over a store."""
    return EncodedPath(Starlette(routes=StorageApi(store).routes(), exception_handlers={StorageError: _refuse}))


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    return error_response(error)


class _Server(uvicorn.Server):
    """A server that says on standard output when it is ready."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()
        print(json.dumps({"ready": True, "port": port, "url": f"http://{host}:{port}"}), flush=True)  # noqa: T201


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.storage", description=storage.__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory that holds the buckets; made if missing")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9023, help="port to listen on, 0 for any (default: %(default)s)")
    options = parser.parse_args(arguments)
    app = build_app(ObjectStore(options.root.resolve()))
    config = uvicorn.Config(app, host=options.host, port=options.port, log_level="warning", lifespan="off")
    _Server(config).run(sockets=[config.bind_socket()])


if __name__ == "__main__":
    main()
