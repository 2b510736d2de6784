"""The web server's side of the decide function: wire on the first request, answer, drain at SIGTERM."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.serving.decide_service import DecideService
from shared.serving.http.decide_api import DecideApi
from shared.serving.http.endpoint import UNREAD, Draining
from shared.serving.memory import settle_memory
from shared.settings import Settings
from shared.telemetry import logs


class Deciding(NamedTuple):
    """The wired function."""

    service: DecideService
    api: DecideApi


class DecideEndpoint:
    """Answer the requests to the function."""

    def __init__(self, wire: Callable[[Settings], Deciding]) -> None:
        self._wire = wire
        self._api: DecideApi | None = None

    async def __call__(self, request: Request) -> Response:
        """Return the response to a request from the framework."""
        if self._api is None:  # not before, as it needs a running event loop, and an import touches nothing
            self._api = self._wired()
        try:
            body = await request.body()
        except ClientDisconnect:  # nobody reads the answer
            return Response(status_code=UNREAD)
        status, content, headers = await self._api.answer(request.method, request.url.path, request.headers, body)
        return Response(content, status, headers)

    def _wired(self) -> DecideApi:
        logs.configure()
        settings = Settings.from_env(os.environ)
        service, api = self._wire(settings)
        Draining(service, settings.drain_seconds).begin_at_sigterm()
        settle_memory()
        return api
