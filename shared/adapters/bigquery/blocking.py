"""Appends from code without an event loop, such as that of jobs."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Sequence
from functools import cache

from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.rows import Record


def append_rows(open_table: Callable[[], BigQueryTable], rows: Sequence[Record]) -> list[int]:
    """Append rows in one request to a table that is opened for it; return the indexes of those refused.

    Raises Unavailable.
    """
    return _runner().run(_appended(open_table, rows))


@cache
def _runner() -> asyncio.Runner:
    """Return the loop of all appends of the process: gRPC still tells a loop of its events after it was closed."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


async def _appended(open_table: Callable[[], BigQueryTable], rows: Sequence[Record]) -> list[int]:
    table = open_table()
    try:
        return await table.append(rows)
    finally:
        await table.close()
