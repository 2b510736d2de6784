"""The HTTP side of a function: wire on the first request, answer each with what its delivery came to."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from shared import logs
from shared.serving.intake import Intake
from shared.settings import Settings

log = logging.getLogger(__name__)

WARM, FAILED = 200, 500

Item = TypeVar("Item")


class Endpoint(Generic[Item]):
    """Answer requests to a function; a GET, such as a start-up probe, only warms the instance up."""

    def __init__(self, wire: Callable[[Settings], Intake[Item]]) -> None:
        self._wire = wire
        self._intake: Intake[Item] | None = None

    async def __call__(self, request: Request) -> Response:
        """Return the response; it never raises, as the framework would log a text that may repeat personal data."""
        try:
            if self._intake is None:  # now, as it needs a running event loop, and importing must touch nothing
                logs.configure()
                self._intake = self._wire(Settings.from_env(os.environ))
            status = await self._intake.handle(await request.body()) if request.method == "POST" else WARM
        except Exception:  # an entry point
            log.exception("failed")
            status = FAILED
        return Response(status_code=status)
