"""A web application behind a function of the framework, which passes on requests and expects responses."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

FAILED = 500


class Application:
    """Answer requests by an application that is wired at the first one."""

    def __init__(self, wire: Callable[[Settings], ASGIApp]) -> None:
        self._wire = wire
        self._app: ASGIApp | None = None
        self._failed = Incident(log, "failed", time.monotonic)

    async def __call__(self, _request: Request) -> Response:
        """Return the response to a request. It never raises, as the server would log the error's text."""
        try:
            if self._app is None:  # not before, as it needs a running event loop, and an import touches nothing
                logs.configure()
                self._app = self._wire(Settings.from_env(os.environ))
            return _Through(self._app)
        except Exception as error:  # noqa: BLE001 (an entry point, which answers 500)
            self._failed.trigger(error=error)
            return PlainTextResponse("Internal Server Error", FAILED)


class _Through(Response):
    """The response of an application to the request at hand."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        await self._app(scope, receive, send)
