"""Publish outcomes and reports once their Pix are decided."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from google.cloud import bigquery

from infra.local.aftermath.fitting import TopicMessage
from infra.local.aftermath.held import Decided, HeldMessages, Published, Truth

Publish = Callable[[Sequence[TopicMessage]], None]
"""Publishes messages, and returns once Pub/Sub has them."""
Ask = Callable[[Sequence[str]], Iterable[Decided]]
"""Returns the decisions about Pix, as far as they are stored."""

LOOK_SECONDS = 1.0
"""Pause between two looks at the decisions; the local BigQuery blocks appends during a query."""
IDS_MAX = 2_000
"""Pix in a query, at most."""


class AftermathPublisher:
    """A context in which held messages are published as their Pix are decided, from a thread of its own."""

    def __init__(self, ask: Ask, publish: Publish, truth: Truth, *, desk: bool = False) -> None:
        """With `desk`, Pix that are stopped for review wait for people."""
        self._ask, self._publish = ask, publish
        self._held = HeldMessages(truth, desk=desk)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="aftermath")

    def __enter__(self) -> Self:
        self._looking = self._executor.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._executor.shutdown()
        if error is None:
            self._looking.result()

    def asked(self, pix: Published) -> None:
        """Record a published Pix."""
        with self._lock:
            self._held.ask(pix)

    def hold(self, told: TopicMessage) -> None:
        """Take an outcome or a report, to be published when it is time."""
        with self._lock:
            self._held.hold(told)

    def waiting(self) -> int:
        """Return the number of Pix whose messages wait. Raises the error that ended the thread, if any."""
        if self._looking.done():
            self._looking.result()
        with self._lock:
            return len(self._held.waiting())

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            ids = self._held.waiting(IDS_MAX)
        found = list(self._ask(ids)) if ids else []
        with self._lock:
            self._held.decide(found)
            ready = self._held.take()
        self._publish(ready)


def stored_decisions(client: bigquery.Client, dataset: str) -> Ask:
    """Return the query of the decisions in BigQuery; the first of each side comes first."""
    sql = (
        f"SELECT end_to_end_id, side, decision FROM {dataset}.score_events "  # noqa: S608 (dataset of our own)
        "WHERE end_to_end_id IN UNNEST(@ids) ORDER BY scored_at"
    )

    def ask(ids: Sequence[str]) -> Iterable[Decided]:
        parameters = [bigquery.ArrayQueryParameter("ids", "STRING", list(ids))]
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        for row in client.query(sql, job_config=config).result(timeout=120):
            yield Decided(row.end_to_end_id, row.side, row.decision)

    return ask
