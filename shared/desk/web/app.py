"""The web application of the desk."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shared.desk.errors import HeldByAnother, JudgedMeanwhile, NoContact, NoSuchCase, NotAllowed
from shared.desk.web.actions import Actions
from shared.desk.web.pages import Pages
from shared.desk.web.render import page
from shared.desk.web.session import Forged, Site, Unknown, language
from shared.errors import PixError, Unavailable
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
CASE = "/cases/{end_to_end_id:str}/{side:str}"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NOT_FOUND = 404
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names of a desk whose users prove nothing: a page of another site could else reach it by a name of its own."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_STATUS: dict[type[Exception], int] = {
    NoContact: NOT_FOUND,
    NoSuchCase: NOT_FOUND,
    HeldByAnother: 409,
    JudgedMeanwhile: 409,
    NotAllowed: 403,
    Forged: 403,
    Unknown: 403,
    Unavailable: 503,
    PixError: 500,
}
_OF_CASE = re.compile("(/cases/[^/]+/[^/]+)/[^/]+")
_failed = Incident(log, "failed", time.monotonic)


def desk_app(site: Site) -> Starlette:
    """Return the application."""
    pages = Pages(site)
    actions = Actions(site, pages)
    return Starlette(
        routes=[
            Route("/", pages.queue),
            Route("/ready", _ready),
            Route("/quality", pages.quality),
            Route("/health", pages.health),
            Route("/drift", pages.drift),
            Route("/models", pages.models),
            Route(CASE, pages.case),
            Route(f"{CASE}/money", pages.money),
            Route(f"{CASE}/packet", pages.packet),
            Route("/next", actions.take_next, methods=["POST"]),
            Route(f"{CASE}/take", actions.take, methods=["POST"]),
            Route(f"{CASE}/return", actions.give_back, methods=["POST"]),
            Route(f"{CASE}/verdict", actions.judge, methods=["POST"]),
            Route(f"{CASE}/answer", actions.answer, methods=["POST"]),
            Route("/language", actions.speak, methods=["POST"]),
            Route("/user", actions.become, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=_secured),
            Middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS if site.settings.user else ("*",)),
        ],
        exception_handlers={**dict.fromkeys(_STATUS, _told), HTTPException: _no_page},
    )


async def _ready(_request: Request) -> Response:
    return PlainTextResponse("ready")


async def _secured(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    """Add the headers of security; no page is kept by a browser, so that back shows the case as it is now.

    A fault of ours is answered without its text, which may repeat personal data.
    """
    try:
        response = await call(request)
    except Exception as error:  # noqa: BLE001 (an entry point; the server would log the error's text)
        _failed.trigger(error=error)
        response = _message(request, 500, "error.Unavailable")
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)  # a document has a policy of its own
    if not request.url.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    return response


async def _no_page(request: Request, error: Exception) -> Response:
    """Return the page of an address without one, or of a form that was opened as a page."""
    assert isinstance(error, HTTPException)
    answer = _message(request, error.status_code, "error.NoPage")
    answer.headers.update(error.headers or {})
    return answer


async def _told(request: Request, error: Exception) -> Response:
    """Return the page of an error that is the user's to know."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if status >= 500:
        _failed.trigger(error=error)
    name = f"error.{type(error).__name__}" if status < 500 else "error.Unavailable"
    return _message(request, status, name)


def _message(request: Request, status: int, text: str) -> Response:
    """Return the page that tells an error, with the way back to the case where its form or page had one."""
    found = None if status == NOT_FOUND else _OF_CASE.match(request.url.path)
    return page("message", language(request), status, text=text, case=found and found[1])
