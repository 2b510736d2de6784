"""Threads of the desk's own, so that a slow BigQuery leaves those of the rest of the process alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from shared.errors import Unavailable

P = ParamSpec("P")
Value = TypeVar("Value")

SECONDS = 30.0
"""Time for the answer of BigQuery, for its job, and for a thread that waits for it: more than a person waits for."""
QUERIES_AT_ONCE = 24
"""Threads, each with one query: the pages of some people at once, as a case asks four.

A process has few threads by default, and one that waits for its answer is lost to the others.
"""


class QueryThreads:
    """Queries in `threads`, each answered in `seconds`, in which it also waits for a free one."""

    def __init__(self, seconds: float = SECONDS, threads: Executor | None = None) -> None:
        self._seconds = seconds
        self._threads = threads or ThreadPoolExecutor(QUERIES_AT_ONCE, "desk-query")

    async def run(self, work: Callable[P, Value], *args: P.args, **kwargs: P.kwargs) -> Value:
        """Return the result of a call in a thread. Raises Unavailable, and as `work`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):  # a call without a thread by then is never made
                return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))
        except TimeoutError:
            raise Unavailable("BigQuery, asked by the desk: no answer in time") from None
