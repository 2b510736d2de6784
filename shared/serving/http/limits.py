"""Limits of a request, and the bytes of requests and answers that keep to them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import NamedTuple

from shared.serving.http.problems import TOO_LARGE, Kind, problem

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, and values."""


class RequestLimits(NamedTuple):
    """Limits of a request and of its connection."""

    body_bytes: int = 128 * 1024
    """Bytes of a body, at most: the largest message that decoding reads has 64 KiB, in base64 86 KiB.

    A larger one is answered 413 unread, so Pub/Sub delivers it again until it is a dead letter, which keeps it whole.
    """
    header_bytes: int = 32 * 1024
    """Bytes of the request line and the headers, at most; a push request has about 1 KiB. More are answered 431."""
    seconds: float = 5.0
    """Seconds from the first byte of a request to its last, else it is answered 408; a push comes in one packet.

    As many for the first byte on a connection, and for the rest of a request that was refused.
    """


DEFAULT = RequestLimits()
_FRAMES = 8  # bytes on the wire for a byte in a body: a chunk of one byte has six


def most_raw_bytes(limits: RequestLimits) -> int:
    """Return the bytes on the wire of a body of the largest size in the smallest chunks."""
    return limits.body_bytes * _FRAMES


def size_of(url: bytes, headers: Headers) -> int:
    """Return the bytes of the request line and headers.

    >>> size_of(b"/", [(b"host", b"x")])
    10
    """
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def declared_bytes(headers: Headers) -> int:
    """Return the length that a body is said to have; 0 for one in chunks.

    >>> declared_bytes([(b"content-length", b"12")])
    12
    """
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


_OF_UPGRADES = (b"upgrade", b"http2-settings")


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """Return a request without the offer to speak another protocol, which a server may ignore (RFC 9110, 7.8).

    >>> without_upgrade(b"POST", b"/", "1.1", [(b"connection", b"Upgrade, close"), (b"upgrade", b"h2c")])
    b'POST / HTTP/1.1\\r\\nconnection: close\\r\\n\\r\\n'
    """
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    lines += [b"%s: %s" % (name, value) for name, value in _kept(headers)]
    return b"\r\n".join([*lines, b"", b""])


def _kept(headers: Headers) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            yield name, b", ".join(token for token in tokens if token.lower() not in _OF_UPGRADES)
        elif name not in _OF_UPGRADES:
            yield name, value


@cache
def refusal(status: HTTPStatus) -> bytes:
    """Return the answer to a request that is not read, and ends its connection: a problem, as the API promises.

    >>> refusal(HTTPStatus.REQUEST_TIMEOUT).partition(b"\\r\\n\\r\\n")[2]
    b'{"type":"urn:pix:problem:refused","title":"Request Timeout","status":408}'
    """
    large = status == TOO_LARGE.status
    told = problem(TOO_LARGE, TOO_LARGE.name) if large else problem(Kind("refused", status, status.phrase))
    headers = {**told.headers, "content-length": str(len(told.body)), "connection": "close"}
    lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + told.body


@cache
def answer(status: int, keep_alive: bool) -> bytes:
    """Return an answer without a body.

    >>> answer(204, True)
    b'HTTP/1.1 204 No Content\\r\\n\\r\\n'
    """
    length = "" if status == HTTPStatus.NO_CONTENT else "content-length: 0\r\n"
    close = "" if keep_alive else "connection: close\r\n"
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{length}{close}\r\n".encode()
