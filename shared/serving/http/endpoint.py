"""The HTTP side of a function: wire on the first request, answer each delivery, drain at SIGTERM.

Cloud Run gives an instance 10 s between SIGTERM and SIGKILL. The server by itself would wait for requests in flight
without a limit, so the signal comes here first: new deliveries are answered 503, those in flight are finished or
given up in time, the metrics are exported, and then the server stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Generic, Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.errors import Unauthenticated, Unavailable
from shared.ports.decisions import Callers
from shared.serving.group_commit import Item
from shared.serving.http.bearer import check_caller
from shared.serving.intake import RETRY_LATER, Intake
from shared.serving.memory import settle_memory
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

WARM, UNREAD, UNAUTHENTICATED, NO_SUCH_METHOD, FAILED = 200, 400, 401, 405, 500
_METHODS = ("GET", "HEAD", "POST")


class Endpoint(Generic[Item]):
    """Answer the requests to a function; a GET, such as a start-up probe, asks whether the instance may start."""

    def __init__(
        self,
        wire: Callable[[Settings], Intake[Item]],
        callers: Callable[[Settings], Callers | None] = lambda _: None,
    ) -> None:
        """Take deliveries of `callers` alone, from anybody if they are None: the platform has verified them."""
        self._wire = wire
        self._wire_callers = callers
        self._callers: Callers | None = None
        self._intake: Intake[Item] | None = None
        self._failed = Incident(log, "failed", time.monotonic)

    async def __call__(self, request: Request) -> Response:
        """Return the response to a request from the framework; nothing with a body is accepted unread."""
        if request.method not in _METHODS:
            return Response(status_code=NO_SUCH_METHOD)
        try:
            body = await request.body()
        except ClientDisconnect:  # nobody reads the status
            return Response(status_code=UNREAD)
        if request.method == "POST":
            return Response(status_code=await self.deliver(body, request.headers.raw))
        return Response(status_code=UNREAD if body else await self.deliver(None, request.headers.raw))

    async def deliver(self, body: bytes | None, headers: list[tuple[bytes, bytes]]) -> int:
        """Return the status of a delivery, or of a probe if there is no body.

        It never raises, as the server would log the error's text, which may repeat personal data.
        """
        try:
            if self._intake is None:  # not before, as it needs a running event loop, and an import touches nothing
                self._intake = self._wired()
            if body is None:
                return WARM if await self._intake.readiness.ready() else RETRY_LATER
            return await self._refused(headers) or await self._intake.handle(body)
        except Exception as error:  # noqa: BLE001 (an entry point, which answers 500)
            self._failed.trigger(error=error, **logs.trace(os.environ, Headers(raw=headers)))
            return FAILED

    async def _refused(self, headers: list[tuple[bytes, bytes]]) -> int | None:
        """Return the status for a caller that is not one of ours, or of whom that is not known now."""
        if self._callers is None:
            return None
        try:
            await check_caller(self._callers, Headers(raw=headers).get("authorization"))
        except Unauthenticated:
            return UNAUTHENTICATED
        except Unavailable:
            return RETRY_LATER
        return None

    def _wired(self) -> Intake[Item]:
        logs.configure()
        settings = Settings.from_env(os.environ)
        self._callers = self._wire_callers(settings)
        intake = self._wire(settings)
        Draining(intake, settings.drain_seconds).begin_at_sigterm()
        settle_memory()
        return intake


class Drained(Protocol):
    """The part of a function that takes requests."""

    async def drain(self, seconds: float) -> None:
        """Refuse new requests, finish those in flight, and after `seconds` give up the rest."""
        ...


class Draining:
    """Drain a function at SIGTERM, before the server gets the signal."""

    def __init__(self, drained: Drained, seconds: float) -> None:
        self._drained = drained
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._server: Any = signal.SIG_DFL
        self._task: asyncio.Task[None] | None = None

    def begin_at_sigterm(self) -> None:
        """Take the signal, once the server has its own handler."""
        self._server = signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._begin, number, frame)

    def _begin(self, number: int, frame: FrameType | None) -> None:
        if self._task is None:  # the signal may come twice, from the supervisor and from its own supervisor
            self._task = asyncio.create_task(self._drain(number, frame))

    async def _drain(self, number: int, frame: FrameType | None) -> None:
        log.info("draining")
        try:
            await self._drained.drain(self._seconds)
        finally:
            log.info("drained")
            if callable(self._server):
                self._server(number, frame)
            else:
                signal.signal(number, self._server)
                signal.raise_signal(number)
