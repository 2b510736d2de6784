"""The process in which bqemulator runs, with three of its habits changed.

bqemulator 1.4.0 lets every thread use one DuckDB connection, so rows that are appended while a query runs stop the
process for good; and it copies the whole table after every append to answer FOR SYSTEM_TIME AS OF, which nobody here
asks. Here each thread has its own cursor, and nothing is copied. And an open AppendRows stream keeps a thread, for
good if its client was killed, of which there are four more than processors; here there are enough.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import duckdb
import grpc.aio
from bqemulator import server
from bqemulator.config import Settings
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.versioning.snapshots import SnapshotManager

STREAMS = 512
"""That may be open or forgotten at a time."""


class CursorPerThread(DuckDBEngine):
    """Give each thread a cursor of its own on the one database."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._owner = threading.get_ident()
        self._cursors = threading.local()

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
    """Announce changes, but keep no copy of the table as it was."""

    def capture(self, *_table: str, kind: str = "AUTO") -> None:
        """Keep nothing."""


def main() -> None:
    """Serve until SIGTERM, configured by the BQEMU_* environment."""
    server.DuckDBEngine = CursorPerThread  # type: ignore[attr-defined]
    server.SnapshotManager = WithoutTimeTravel  # type: ignore[attr-defined]
    grpc.aio.server = partial(grpc.aio.server, migration_thread_pool=ThreadPoolExecutor(STREAMS))
    server.run_forever(Settings())


if __name__ == "__main__":
    main()
