"""A small HTTP/1.1 client of push endpoints: keep-alive connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools

OnStatus = Callable[[int | None], None]
_PROCESSING = 102


class PushClient:
    """Post JSON bodies to one URL, with one connection for each concurrent post."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._secure = address.scheme == "https"
        self._host = address.hostname or ""
        self._port = address.port or (443 if self._secure else 80)
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {address.netloc.rpartition('@')[2]}\r\n"
            "Content-Type: application/json\r\nUser-Agent: CloudPubSub-Google\r\nContent-Length: "
        ).encode("ascii")
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._connecting: set[asyncio.Task[_Connection]] = set()

    def post(self, body: bytes, timeout: float, on_status: OnStatus) -> None:
        """Post a body; call `on_status` with the HTTP status, or None after a failure or `timeout` seconds."""
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        if self._idle:
            # Take the most recently used one, so that the server closes the others when they have been idle for long.
            self._idle.pop().send(request, timeout, on_status)
            return
        task = asyncio.create_task(self._connect(timeout))
        self._connecting.add(task)
        task.add_done_callback(functools.partial(self._connected, request, timeout, on_status))

    def close(self) -> None:
        """Close all connections; posts in flight report None."""
        for task in self._connecting:
            task.cancel()
        for connection in list(self._open):
            connection.abort()

    async def _connect(self, timeout: float) -> _Connection:
        context = ssl.create_default_context() if self._secure else None
        async with asyncio.timeout(timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self._idle, self._open), self._host, self._port, ssl=context
            )
        return connection

    def _connected(
        self, request: bytes, timeout: float, on_status: OnStatus, task: asyncio.Task[_Connection]
    ) -> None:
        self._connecting.discard(task)
        if task.cancelled() or isinstance(task.exception(), OSError):  # includes TimeoutError and SSL errors
            on_status(None)
        else:
            task.result().send(request, timeout, on_status)


class _Connection(asyncio.Protocol):
    """A connection that sends one request at a time and returns to the idle ones after each response."""

    def __init__(self, idle: list[_Connection], connections: set[_Connection]) -> None:
        self._idle = idle
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._on_status: OnStatus | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from asyncio's
        self._connections.add(self)

    def send(self, request: bytes, timeout: float, on_status: OnStatus) -> None:
        if self._transport.is_closing():
            on_status(None)
            return
        self._on_status = on_status
        self._parser = httptools.HttpResponseParser(self)
        self._timer = self._loop.call_later(timeout, self.abort)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._on_status is None:
            self._transport.close()  # a response without a request
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            reusable = self._parser.should_keep_alive()
        elif status == _PROCESSING:
            reusable = False  # the final status, still to come, no longer matters
        else:
            return
        if reusable:
            self._idle.append(self)
        else:
            self._transport.close()
        self._report(status)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self)
        if self in self._idle:
            self._idle.remove(self)
        self._report(None)

    def abort(self) -> None:
        self._transport.abort()

    def _report(self, status: int | None) -> None:
        if self._on_status is None:
            return
        on_status, self._on_status = self._on_status, None
        self._timer.cancel()
        on_status(status)
