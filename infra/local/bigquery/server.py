"""bqemulator with seven changes.

- A cursor for each thread: bqemulator 1.4.0 shares one DuckDB connection between all threads, and an append during a
  query stops the process for good.
- No time travel: it copies the whole table after each append, for FOR SYSTEM_TIME AS OF, which no query here uses.
- More threads: each open AppendRows stream occupies one, for good if its client was killed, and the default pool has
  only four more than there are processors.
- A statement is parsed once: each of forty steps of a translation parses it again, to find nothing to do.
- A query runs once: it is answered at its end, and the client, which waits half a minute for it to be taken, sends it
  again under the same id until then.
- Requests of web pages are refused.
- A limit of memory, beyond which DuckDB writes to its directory.
"""

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import duckdb
import grpc.aio
import sqlglot
from bqemulator import server
from bqemulator.api.app import create_app
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs
from bqemulator.config import Settings
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.versioning.snapshots import SnapshotManager
from fastapi import FastAPI
from sqlglot.expressions import Expr

from infra.local.bigquery.launch import MEMORY
from infra.local.loopback_only import LoopbackOnly

STREAMS = 512
"""Open or abandoned AppendRows streams at a time."""
STATEMENTS = 64
"""Parsed statements that are kept; one of the product's has up to 50,000 characters."""
QUERIES = 256
"""Queries, under way or answered, that are known again by their id."""

_parse_one = sqlglot.parse_one


class CursorPerThread(DuckDBEngine):
    """An engine with one database and a cursor for each thread."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._owner = threading.get_ident()
        self._cursors = threading.local()

    async def start(self) -> None:
        """Open the database, and limit its memory where one is asked for."""
        await super().start()
        if limit := os.environ.get(MEMORY):
            self.connection.execute(f"SET memory_limit = '{limit}'")

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Return the calling thread's cursor; the event loop's thread keeps the original connection."""
        if threading.get_ident() == self._owner:
            return super().connection
        if not hasattr(self._cursors, "cursor"):
            self._cursors.cursor = super().connection.cursor()
            self._cursors.cursor.execute("SET TimeZone = 'UTC'")
        cursor: duckdb.DuckDBPyConnection = self._cursors.cursor
        return cursor


class WithoutTimeTravel(SnapshotManager):
    """A snapshot manager that keeps no copies of tables."""

    def capture(self, *_table: str, kind: str = "AUTO") -> None:
        """Do nothing."""


@lru_cache(STATEMENTS)
def _parsed(sql: str, read: str) -> Expr:
    return _parse_one(sql, read=read)


def parse_once(sql: str, read: Any = None, **options: Any) -> Expr:
    """Return a tree as `sqlglot.parse_one` does, one that the caller may change."""
    is_plain = isinstance(read, str) and not options
    own: Expr = _parsed(sql, read).copy() if is_plain else _parse_one(sql, read=read, **options)
    return own


class Once:
    """A handler of queries that answers a repeated one with the answer of the first, also while that is under way."""

    def __init__(self, handle: Callable[..., Awaitable[Any]]) -> None:
        self._handle = handle
        self._answers: OrderedDict[tuple[str, str], asyncio.Future[Any]] = OrderedDict()

    async def __call__(self, project_id: str, job_id: str, *given: Any, **named: Any) -> Any:
        """Return the answer to a query. Raises what the handler raises, again for a repeated query."""
        key = project_id, job_id
        if key not in self._answers:
            self._answers[key] = asyncio.ensure_future(self._handle(project_id, job_id, *given, **named))
            if len(self._answers) > QUERIES:
                self._answers.popitem(last=False)
        return await asyncio.shield(self._answers[key])


def run() -> None:
    """Serve until SIGTERM, configured by the BQEMU_* environment variables."""
    # bqemulator has no settings for these; mypy does not see the names that its module imports.
    server.DuckDBEngine = CursorPerThread  # type: ignore[attr-defined] # replaces an imported name
    server.SnapshotManager = WithoutTimeTravel  # type: ignore[attr-defined] # replaces an imported name
    sqlglot.parse_one = parse_once  # type: ignore[assignment] # replaces a function with overloads
    jobs._handle_query_job = Once(jobs._handle_query_job)
    server.create_app = _guarded  # type: ignore[attr-defined] # replaces an imported name
    grpc.aio.server = partial(grpc.aio.server, migration_thread_pool=ThreadPoolExecutor(STREAMS))
    server.run_forever(Settings())


def _guarded(context: AppContext) -> FastAPI:
    app = create_app(context)
    app.add_middleware(LoopbackOnly)
    return app
