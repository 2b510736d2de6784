"""Measure the time from publishing a Pix until a query returns its row, on a sample."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from google.cloud import bigquery

from shared.contract.events_file import Line
from shared.contract.topics import TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed

_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.5  # the local BigQuery blocks appends during a query, so queries must be rare


class RowWatch:
    """A context that watches one Pix at a time; after its row appears it takes the next one published."""

    def __init__(self, client: bigquery.Client, dataset: str) -> None:
        self.waits: list[float] = []
        self._client = client
        self._sql = f"SELECT 1 FROM {dataset}.score_events WHERE end_to_end_id = @id LIMIT 1"  # noqa: S608 (dataset of our own)
        self._next: tuple[str, float] | None = None
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="row-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._wanted.set()
        self._thread.join()

    def published(self, line: Line) -> None:
        """Record a message at the moment of its publishing."""
        if line.topic != TRANSACTIONS or self._next is not None:
            return
        try:
            self._next = decode_transaction(bytes(line.data)).value.end_to_end_id, time.monotonic()
        except Malformed:
            return
        self._wanted.set()

    def _run(self) -> None:
        while self._wanted.wait() and not self._ended.is_set():
            self._wanted.clear()
            if self._next is not None:
                self._watch(*self._next)
            self._ended.wait(_PAUSE_SECONDS)
            self._next = None

    def _watch(self, end_to_end_id: str, published_at: float) -> None:
        parameter = bigquery.ScalarQueryParameter("id", "STRING", end_to_end_id)
        config = bigquery.QueryJobConfig(query_parameters=[parameter])
        while not self._ended.is_set() and time.monotonic() - published_at < _PATIENCE_SECONDS:
            if self._client.query_and_wait(self._sql, job_config=config).total_rows:
                self.waits.append(1000 * (time.monotonic() - published_at))
                return
            time.sleep(_POLL_SECONDS)
