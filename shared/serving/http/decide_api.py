"""The API of the decide function, without a web server: a request in, an answer out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from shared.errors import Malformed, PixError
from shared.ports.decisions import Callers
from shared.serving.decide_service import DecideService
from shared.serving.http.bearer import check_caller
from shared.serving.http.problems import (
    FAILED,
    JSON,
    NO_SUCH_METHOD,
    NOT_FOUND,
    STARTING,
    TIMEOUT_HEADER,
    HttpAnswer,
    problem,
    problem_of,
)
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import ANSWERS, Metrics

log = logging.getLogger(__name__)

DECISIONS, OPENAPI, PROBE = "/v1/decisions", "/v1/openapi.json", "/"
_METHODS = {DECISIONS: ("POST",), OPENAPI: ("GET", "HEAD"), PROBE: ("GET", "HEAD")}
LONGEST_MS = 60_000
"""Milliseconds of the longest wait that a caller may ask for."""
DOCUMENT = Path(__file__).parents[2] / "contract" / "openapi.json"


class DecideApi:
    """Answer the requests for decisions; a GET of `/`, the start-up probe, asks whether the instance may start."""

    def __init__(
        self, service: DecideService, seconds: float, metrics: Metrics, callers: Callers | None = None
    ) -> None:
        """Answer within `seconds` where a caller does not say how long it waits.

        Questions are taken from `callers` alone, from anybody if they are None: the platform has verified them.
        """
        self._callers = callers
        self._service = service
        self._seconds = seconds
        self._metrics = metrics
        self._failed = Incident(log, "failed", time.monotonic)

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Return the answer to a request; `headers` finds names in any case. It never raises."""
        try:
            found = await self._answer(method, path, headers, body)
        except PixError as error:
            found = problem_of(error)
        except Exception as error:  # noqa: BLE001 (a server would log the error's text, which may repeat personal data)
            self._failed.trigger(error=error)
            found = problem(FAILED)
        self._metrics.add(ANSWERS, 1, str(found.status))
        return found

    async def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        methods = _METHODS.get(path)
        if methods is None:
            return problem(NOT_FOUND)
        if method not in methods:
            return problem(NO_SUCH_METHOD, allow=", ".join(methods))
        if path == DECISIONS:
            await check_caller(self._callers, headers.get("Authorization"))
            decision = await self._service.answer(body, seconds_of(headers, self._seconds))
            return HttpAnswer(200, msgspec.json.encode(decision), {"content-type": JSON})
        if path == OPENAPI:
            return HttpAnswer(200, _document(), {"content-type": JSON})
        return HttpAnswer(200) if await self._service.readiness.ready() else problem(STARTING)


def seconds_of(headers: Mapping[str, str], default: float) -> float:
    """Return the seconds for which a caller waits. Raises Malformed.

    >>> seconds_of({"X-Request-Timeout-Ms": "30"}, 2.0)
    0.03
    """
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(LONGEST_MS))):
        raise Malformed("invalid_value", TIMEOUT_HEADER)
    milliseconds = int(text)
    if not 0 < milliseconds <= LONGEST_MS:
        raise Malformed("invalid_value", TIMEOUT_HEADER)
    return milliseconds / 1e3


@cache
def _document() -> bytes:
    return DOCUMENT.read_bytes()
