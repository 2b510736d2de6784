"""A worker: one process that pulls until SIGTERM or Ctrl-C, finishes the batches in work, and ends with status 0."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from typing import Any

from shared.ports.messages import MessageSource
from shared.serving.group_commit import BatchLimits
from shared.serving.http.health import serve_health
from shared.serving.intake import Intake
from shared.serving.pull import Puller

log = logging.getLogger(__name__)


async def work(
    intake: Intake[Any], source: MessageSource, limits: BatchLimits, drain_seconds: float, health_port: int | None
) -> None:
    """Pull until a signal comes, then stop within `drain_seconds` and a little more. Raises Misconfigured."""
    puller = Puller(intake, source, limits)
    loop, signalled = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    started = asyncio.Event()
    async with AsyncExitStack() as stack:
        if health_port is not None:
            server = await serve_health(health_port, lambda: not puller.stopping, started.is_set)
            stack.callback(server.close)
        stopping = asyncio.create_task(signalled.wait())
        await _started(intake, stopping)
        started.set()
        pulling = asyncio.create_task(puller.run())
        log.info("pulling")
        await asyncio.wait((pulling, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        log.info("draining")
        await puller.stop(drain_seconds)
        log.info("drained")
        await pulling


async def _started(intake: Intake[Any], stopping: asyncio.Task[bool]) -> None:
    """Wait until the worker may start, or is to stop before."""
    starting = asyncio.create_task(intake.readiness.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
    starting.cancel()
