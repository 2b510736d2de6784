"""The start of an instance: it takes nothing before each part that it needs has answered once.

The network of a new instance may let nothing through for a minute or more (Direct VPC egress of Cloud Run), and a Pix
that is decided meanwhile has neither model nor history, for good.
https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc#limitations
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from shared.errors import Unavailable
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

Reach = Callable[[], Awaitable[None]]
"""Ask a part for any answer. Raises Unavailable without one."""

RETRY_SECONDS = 0.25
"""Pause before a part that did not answer is asked again."""
PROBE_SECONDS = 1.0
"""Time that a probe waits for the parts: half the timeout of Cloud Run's start-up probe."""


class Readiness:
    """Ask the parts of an instance, by name, until each has answered, for `seconds` at most.

    Then the instance starts without the others: an outage must not keep every new instance from deciding by rules.
    """

    def __init__(self, parts: Mapping[str, Reach], seconds: float, retry_seconds: float = RETRY_SECONDS) -> None:
        self._missing = dict(parts)
        self._seconds = seconds
        self._retry = retry_seconds
        self._asking: asyncio.Task[None] | None = None
        self._away = Incident(log, "not reached at the start", time.monotonic)

    async def ready(self) -> bool:
        """Return whether the instance may start; wait for PROBE_SECONDS at most.

        Raises the error of a fault in our own code, after which the next call asks again.
        """
        if not self._missing:
            return True
        asking = self._task()
        await asyncio.wait({asking}, timeout=PROBE_SECONDS)
        if asking.done():
            await self._finished(asking)
        return not self._missing

    async def wait(self) -> None:
        """Wait until the instance may start. Raises as `ready` does."""
        while self._missing:
            await self._finished(self._task())

    def _task(self) -> asyncio.Task[None]:
        self._asking = self._asking or asyncio.create_task(self._ask())
        return self._asking

    async def _finished(self, asking: asyncio.Task[None]) -> None:
        try:
            await asking
        finally:
            self._asking = None

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._seconds), asyncio.TaskGroup() as group:
                for name, reach in self._missing.items():
                    group.create_task(self._until_reached(name, reach))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None
        except TimeoutError:
            log.error("started without", extra={"fields": {"missing": sorted(self._missing)}})
            self._missing.clear()

    async def _until_reached(self, name: str, reach: Reach) -> None:
        while True:
            try:
                await reach()
            except Unavailable as error:
                self._away.trigger(part=name, reason=str(error))
                await asyncio.sleep(self._retry)
            else:
                del self._missing[name]
                return


AT_ONCE = Readiness({}, 0.0)
"""The readiness of an instance that needs nothing but itself."""
