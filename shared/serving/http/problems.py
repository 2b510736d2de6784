"""Errors of the API as problem documents (RFC 9457): they name a field, and never repeat a value."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from shared.errors import Malformed, NotInTime, Overloaded, PixError, Unauthenticated, Unavailable

JSON, PROBLEM_JSON = "application/json", "application/problem+json"
RETRY_SECONDS = 1
"""Seconds after which a caller may ask again, the shortest that Retry-After can say."""
TIMEOUT_HEADER = "X-Request-Timeout-Ms"


class Problem(Struct, frozen=True, omit_defaults=True):
    """A problem document; `type` names the kind of problem, which no page describes beyond this API's."""

    type: Annotated[str, Meta(description="The kind of problem, a URN")]
    title: Annotated[str, Meta(description="The kind of problem in words")]
    status: Annotated[int, Meta(description="The HTTP status", ge=400, le=599)]
    reason: Annotated[str | None, Meta(description="The fault of the message, such as missing_field")] = None
    field: Annotated[str | None, Meta(description="Path of the faulty field, such as payer.tax_id")] = None


class HttpAnswer(NamedTuple):
    """A status, a body and the headers that describe it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)


class Kind(NamedTuple):
    """A kind of problem."""

    name: str
    status: HTTPStatus
    title: str


NOT_FOUND = Kind("not_found", HTTPStatus.NOT_FOUND, "There is nothing at this path")
NO_SUCH_METHOD = Kind("no_such_method", HTTPStatus.METHOD_NOT_ALLOWED, "This path has another method")
UNKNOWN_CALLER = Kind("unauthenticated", HTTPStatus.UNAUTHORIZED, "The caller has no valid token")
TOO_LARGE = Kind("too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message is too large")
MALFORMED = Kind("malformed", HTTPStatus.UNPROCESSABLE_ENTITY, "The message is malformed")
OVERLOADED = Kind("overloaded", HTTPStatus.TOO_MANY_REQUESTS, "This instance has no room for more")
NOT_IN_TIME = Kind("not_in_time", HTTPStatus.SERVICE_UNAVAILABLE, "The decision is not made yet: ask again")
STARTING = Kind("starting", HTTPStatus.SERVICE_UNAVAILABLE, "The instance has not reached all that it needs yet")
UNAVAILABLE = Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "No decision can be made now: ask again")
FAILED = Kind("failed", HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of the service")
_RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def problem(kind: Kind, reason: str | None = None, field: str | None = None, **headers: str) -> HttpAnswer:
    """Return the answer that tells a problem.

    >>> problem(NOT_FOUND).body
    b'{"type":"urn:pix:problem:not_found","title":"There is nothing at this path","status":404}'
    """
    status = int(kind.status)
    document = Problem(f"urn:pix:problem:{kind.name}", kind.title, status, reason, field)
    retry = {"retry-after": str(RETRY_SECONDS)} if kind.status in _RETRIED else {}
    return HttpAnswer(status, msgspec.json.encode(document), {"content-type": PROBLEM_JSON, **retry, **headers})


def problem_of(error: PixError) -> HttpAnswer:
    """Return the answer that tells an error; its text stays here."""
    if isinstance(error, Malformed):
        kind = TOO_LARGE if error.reason == TOO_LARGE.name else MALFORMED
        return problem(kind, error.reason, error.field)
    if isinstance(error, Unauthenticated):
        return problem(UNKNOWN_CALLER, **{"www-authenticate": "Bearer"})
    kinds = {Overloaded: OVERLOADED, NotInTime: NOT_IN_TIME, Unavailable: UNAVAILABLE}
    return problem(next((kind for each, kind in kinds.items() if isinstance(error, each)), FAILED))
