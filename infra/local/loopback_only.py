"""Refuses requests of other machines' names and of web pages.

Any page in a browser on this machine can send requests to loopback. Its own address is in the header Origin, and
after DNS rebinding in Host, so both must be loopback's.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class LoopbackOnly:
    """Middleware that answers 403 to requests whose Host or Origin is not on loopback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        refused = _refused(Headers(scope=scope)) if scope["type"] == "http" else None
        await (self._app if refused is None else _forbidden(refused))(scope, receive, send)


def is_loopback(address: str) -> bool:
    """Return True if a host, with or without its port, is a name or an address of loopback.

    >>> [is_loopback(host) for host in ("localhost:9023", "127.0.0.1", "[::1]:80", "evil.example", "")]
    [True, True, True, False, False]
    """
    try:
        host = urlsplit(f"//{address}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(headers: Headers) -> str | None:
    """Return the refused header with its value, or None if the request may be served."""
    for host in headers.getlist("host") or [""]:
        if not is_loopback(host):
            return f"Host: {host}"
    for origin in headers.getlist("origin"):
        if not is_loopback(origin.partition("://")[2]):
            return f"Origin: {origin}"
    return None


def _forbidden(header: str) -> JSONResponse:
    """Return the refusal in the form of Google's JSON APIs."""
    message = (
        f"This server of the local cloud refuses the header `{header}`: it serves programs of this machine, "
        "not web pages. Address it as 127.0.0.1 or localhost."
    )
    details = {"message": message, "domain": "global", "reason": "forbidden"}
    return JSONResponse({"error": {"code": 403, "message": message, "errors": [details]}}, status_code=403)
