"""Deliveries over HTTP/1.1 without ASGI between the last byte of a request and the first byte of its answer.

functions-framework serves by gunicorn and uvicorn. An empty request takes 72 us through the framework, 27 us in a
bare ASGI application, and 12 us here, where uvicorn's protocol skips one step: the body of a POST is passed on as
bytes instead of as a scope, an event and a chain of applications. Other requests, such as a probe or a request that
comes before its predecessor is answered, take uvicorn's usual way.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from shared.serving.http.limited import LimitedProtocol
from shared.serving.http.limits import DEFAULT, Headers, RequestLimits, answer

Deliver = Callable[[bytes, Headers], Awaitable[int]]
"""Return the status to answer with, given the body and the headers, names in lower case; never raises."""


def serve_directly(deliver: Deliver) -> None:
    """Make the servers of this process and its children pass deliveries to `deliver`; call it before they start.

    Modules imported by then are exempted from garbage collection, whose marks would copy them into every child.
    """
    gc.freeze()
    UvicornWorker.CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "http": partial(PushProtocol, deliver)}


def serve_within_limits() -> None:
    """Make the servers of this process and its children keep to the limits of requests; call it before they start."""
    gc.freeze()
    UvicornWorker.CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "http": UsualProtocol}


class PushProtocol(LimitedProtocol):
    """uvicorn's protocol within limits, which passes deliveries on without ASGI."""

    def __init__(self, deliver: Deliver, limits: RequestLimits = DEFAULT, **server: Any) -> None:
        super().__init__(limits, **server)
        self._deliver = deliver

    def take_headers(self) -> None:
        """Choose between a delivery and uvicorn's usual way."""
        if self._is_delivery():
            self.cycle = _Delivery(self.parser.should_keep_alive(), self.headers)  # type: ignore[assignment]  # has the attributes that the base class reads
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.headers += headers
        self.url, self.expect_100_continue = url, expects
        HttpToolsProtocol.on_headers_complete(self)

    def take_body(self, body: bytes) -> None:
        """Add a part of the body."""
        if isinstance(self.cycle, _Delivery):
            self.cycle.parts.append(body)
        else:
            HttpToolsProtocol.on_body(self, body)

    def take_end(self) -> None:
        """Answer a delivery whose body is complete."""
        if isinstance(self.cycle, _Delivery):
            task = self.loop.create_task(self._answer(self.cycle))
            self.tasks.add(task)  # the server waits for these when it stops
            task.add_done_callback(self.tasks.discard)
        else:
            HttpToolsProtocol.on_message_complete(self)

    def _is_delivery(self) -> bool:
        before = self.cycle
        return (
            self.parser.get_method() == b"POST"
            and (before is None or before.response_complete)
            and not self.expect_100_continue
            and self.limit_concurrency is None
        )

    async def _answer(self, delivery: _Delivery) -> None:
        parts = delivery.parts
        status = await self._deliver(parts[0] if len(parts) == 1 else b"".join(parts), delivery.headers)
        delivery.response_complete = True
        if self.transport.is_closing():
            return
        self.transport.write(answer(status, delivery.keep_alive))
        if not delivery.keep_alive:
            self.transport.close()
        if self.pipeline or not delivery.keep_alive:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.keep_alive()


class UsualProtocol(PushProtocol):
    """uvicorn's protocol within limits, for a function whose answers have bodies."""

    def __init__(self, **server: Any) -> None:
        super().__init__(_nothing_delivered, **server)

    def _is_delivery(self) -> bool:
        return False


async def _nothing_delivered(_body: bytes, _headers: Headers) -> int:
    raise NotImplementedError


class _Delivery:
    """A delivery in progress, with the attributes that uvicorn's protocol reads from a request cycle."""

    __slots__ = ("disconnected", "headers", "keep_alive", "message_event", "parts", "response_complete")
    response_started = False  # status and headers are one write

    def __init__(self, keep_alive: bool, headers: Headers) -> None:
        self.keep_alive = keep_alive
        self.headers = headers
        self.parts: list[bytes] = []
        self.response_complete = False
        self.disconnected = False
        self.message_event = _IGNORED_EVENT


class _IgnoredEvent:
    def set(self) -> None:
        """Do nothing: a delivery has no reader of its messages."""


_IGNORED_EVENT = _IgnoredEvent()
