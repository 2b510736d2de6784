"""uvicorn's HTTP/1.1 with limits that hold while bytes arrive, and without upgrades.

uvicorn limits neither a body nor headers nor the time of a request, and answers a request that offers an upgrade
without reading its body. Here such an offer is ignored. A request over a limit is answered with the status that names
the limit, which Pub/Sub takes for a nack, and the rest of it is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from asyncio.events import TimerHandle
from http import HTTPStatus
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.serving.http.limits import (
    RequestLimits,
    declared_bytes,
    most_raw_bytes,
    refusal,
    size_of,
    without_upgrade,
)
from shared.telemetry.incidents import Incident

_refusals = Incident(logging.getLogger(__name__), "request refused", time.monotonic)
_TOO_MANY_HEADERS = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class LimitedProtocol(HttpToolsProtocol, ABC):
    """Parse requests within limits; a subclass takes the headers, the body and the end of each."""

    def __init__(self, limits: RequestLimits, **server: Any) -> None:
        super().__init__(**server)
        self._limits = limits
        self._reading = False  # a request has begun and is not complete
        self._begun_here = False  # ... in the data at hand
        self._has_cycle = False  # ... and `cycle` is its own
        self._data_bytes = self._raw_bytes = self._body_bytes = 0
        self._deadline: TimerHandle | None = None
        self._idle_since: float | None = None
        self._idle_timer: TimerHandle | None = None
        self._fault = HTTPStatus.BAD_REQUEST
        self._refused = False

    @abstractmethod
    def take_headers(self) -> None:
        """Begin the cycle of a request, whose `headers` are complete."""

    @abstractmethod
    def take_body(self, body: bytes) -> None:
        """Take a part of the body."""

    @abstractmethod
    def take_end(self) -> None:
        """Take the end of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        """Begin a connection, which is closed if nothing is asked."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self._limits.seconds, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unset_deadline()
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def keep_alive(self) -> None:
        """Close the connection unless a request begins within uvicorn's time for it.

        One timer serves many requests, as setting one for each and cancelling it takes a tenth of an empty request.
        """
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def data_received(self, data: bytes) -> None:
        """Read requests; the rest of a refused one is dropped."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._idle_since = None
        self._begun_here, self._data_bytes = False, len(data)
        try:
            if (at := self._parse(data)) is not None:
                self._ignore_upgrades(memoryview(data)[at:])
        except (httptools.HttpParserError, _Stopped):
            self._refuse(self._fault)
        else:
            if self._reading:
                self._watch()

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made later, if it is needed."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._reading = self._begun_here = True
        self._raw_bytes = self._body_bytes = 0

    def on_headers_complete(self) -> None:
        """Check the headers, and begin a request unless it offers an upgrade."""
        limit = self._limits.header_bytes
        if (self._data_bytes > limit or not self._begun_here) and size_of(self.url, self.headers) > limit:
            self._stop(_TOO_MANY_HEADERS)
        if not self.parser.should_upgrade():
            self.take_headers()
            self._has_cycle = True

    def on_body(self, body: bytes) -> None:
        """Check the length of the body as it grows."""
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(_TOO_LARGE)
        self.take_body(body)

    def on_message_complete(self) -> None:
        """End a request; one that offered an upgrade has no cycle, as it begins again."""
        taken = self._has_cycle
        self._reading = self._has_cycle = False
        if self._deadline:
            self._unset_deadline()
        if taken:
            self.take_end()

    def _ignore_upgrades(self, rest: memoryview) -> None:
        """Parse the request at hand again without the upgrade it offers, and the bytes after it.

        Raises HttpParserError.
        """
        at: int | None = 0
        while at is not None:
            if self.parser.get_method() == b"CONNECT":
                self._stop(HTTPStatus.NOT_IMPLEMENTED)
            self._begin_again()
            rest = rest[at:]
            at = self._parse(rest)

    def _begin_again(self) -> None:
        """Parse the headers at hand without their upgrade, by a parser that expects their body."""
        before = self.parser
        plain = without_upgrade(before.get_method(), self.url, before.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in the base class
        self.parser.feed_data(plain)

    def _parse(self, data: bytes | memoryview) -> int | None:
        """Parse data up to an upgrade, and return the index of the byte after its headers; None if there is none."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return int(upgrade.args[0])
        return None

    def _stop(self, status: HTTPStatus) -> NoReturn:
        """End parsing by an error of a callback; the request is then refused with `status`."""
        self._fault = status
        raise _Stopped

    def _watch(self) -> None:
        """Refuse a request that is not complete yet, and has come to a limit."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.seconds, self._late)
        if not self._begun_here:
            self._raw_bytes += self._data_bytes
        if not self._has_cycle:
            if self._raw_bytes > self._limits.header_bytes:
                self._refuse(_TOO_MANY_HEADERS)
        elif declared_bytes(self.headers) > self._limits.body_bytes or self._raw_bytes > most_raw_bytes(self._limits):
            self._refuse(_TOO_LARGE)

    def _late(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # by this side, until a request before it is answered
            self._deadline = self.loop.call_later(self._limits.seconds, self._late)
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer a request that will not be read, and close the connection once the other end has read the answer.

        Closed at once, with bytes unread, the other end could lose the answer. Behind a request that is not answered
        yet, an answer would be taken for that request's own, so the connection is closed without one.
        """
        self._refused = True
        _refusals.trigger(status=int(status))
        self._unset_deadline()
        may_answer = self._may_answer()
        if self._has_cycle:
            self.cycle.disconnected = self.cycle.response_complete = True
            self.cycle.message_event.set()
        if not may_answer:
            self.transport.close()
            return
        self.transport.write(refusal(status))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(self._limits.seconds, self.transport.close)

    def _may_answer(self) -> bool:
        """Return whether the next bytes on this connection would be the answer to the present request."""
        if not self._has_cycle:
            return self.cycle is None or self.cycle.response_complete
        return not self.pipeline and not self.cycle.response_started

    def _close_if_idle(self) -> None:
        self._idle_timer = None
        if self._idle_since is None:  # the end of the request at hand sets the timer again
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)
        else:
            self.timeout_keep_alive_handler()

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Stopped(Exception):
    """It ends the parsing of a request."""
