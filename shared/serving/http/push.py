"""Deliveries by HTTP/1.1 without what ASGI puts between the last byte of a request and the first of its answer.

functions-framework serves by gunicorn and uvicorn. A request that does nothing takes 72 us by way of the framework,
27 us as a bare ASGI application, and 12 us here, where uvicorn's own protocol only skips a step: a POST is not made
into a scope, an event and a chain of applications, but handed over as the bytes of its body. All else, such as a
probe, an upgrade or a request that comes before its predecessor is answered, takes uvicorn's usual way.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

Headers = list[tuple[bytes, bytes]]
Deliver = Callable[[bytes, Headers], Awaitable[int]]
"""Return the status to answer with, given the body and the headers, names in lower case; never raises."""


def serve_directly(deliver: Deliver) -> None:
    """Have the servers of this process and its children hand over deliveries; call it before they start.

    What has been imported by then is put out of the garbage collector's sight, as its marks would make a copy of it
    in every child.
    """
    gc.freeze()
    UvicornWorker.CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "http": partial(PushProtocol, deliver)}


@cache
def answer(status: int, keep_alive: bool) -> bytes:
    """Return an answer without a body.

    >>> answer(204, True)
    b'HTTP/1.1 204 No Content\\r\\n\\r\\n'
    """
    length = "" if status == HTTPStatus.NO_CONTENT else "content-length: 0\r\n"
    close = "" if keep_alive else "connection: close\r\n"
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{length}{close}\r\n".encode()


class PushProtocol(HttpToolsProtocol):
    """uvicorn's protocol, but for what has no need of ASGI."""

    def __init__(self, deliver: Deliver, **server: Any) -> None:
        super().__init__(**server)
        self._deliver = deliver

    def on_message_begin(self) -> None:
        """Begin a request; its scope is only made if it is wanted."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Choose the way that a request takes."""
        if self._is_delivery():
            self.cycle = _Delivery(self.parser.should_keep_alive(), self.headers)  # type: ignore[assignment]
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.headers += headers
        self.url, self.expect_100_continue = url, expects
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if isinstance(self.cycle, _Delivery):
            self.cycle.parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand a whole delivery over."""
        if isinstance(self.cycle, _Delivery):
            task = self.loop.create_task(self._answer(self.cycle))
            self.tasks.add(task)  # which the server waits for when it stops
            task.add_done_callback(self.tasks.discard)
        else:
            super().on_message_complete()

    def _is_delivery(self) -> bool:
        parser, before = self.parser, self.cycle
        return (
            parser.get_method() == b"POST"
            and (before is None or before.response_complete)
            and not self.expect_100_continue
            and not parser.should_upgrade()
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
        self.on_response_complete()


class _Delivery:
    """A request on its way, with what uvicorn's protocol asks of one."""

    __slots__ = ("disconnected", "headers", "keep_alive", "message_event", "parts", "response_complete")

    def __init__(self, keep_alive: bool, headers: Headers) -> None:
        self.keep_alive = keep_alive
        self.headers = headers
        self.parts: list[bytes] = []
        self.response_complete = False
        self.disconnected = False
        self.message_event = _NOBODY_WAITS


class _NobodyWaits:
    def set(self) -> None:
        """Do what an event does that nobody waits for."""


_NOBODY_WAITS = _NobodyWaits()
