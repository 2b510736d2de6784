"""Publish the live part of a stream and count its messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from google.cloud.pubsub_v1 import PublisherClient

from shared.contract.events_file import Line
from shared.contract.feedback import decode_feedback
from shared.contract.topics import TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed


@dataclass(slots=True)
class Sent:
    """Counts of published messages; `ids` are the distinct ids of valid transactions."""

    ids: set[str] = field(default_factory=set)
    transactions: int = 0
    feedback: int = 0
    malformed: int = 0

    @property
    def rows(self) -> int:
        """Return the number of rows to expect, not counting redeliveries."""
        return len(self.ids) + self.feedback + self.malformed

    def count(self, line: Line) -> None:
        """Count one message."""
        try:
            if line.topic == TRANSACTIONS:
                self.transactions += 1
                self.ids.add(decode_transaction(bytes(line.data)).value.end_to_end_id)
            else:
                decode_feedback(bytes(line.data))
                self.feedback += 1
        except Malformed:
            self.malformed += 1


class StreamPublisher:
    """Publish lines at a given pace with the official client."""

    def __init__(self, project: str) -> None:
        self.sent = Sent()
        self._client = PublisherClient()
        self._project = project
        self._pending: list[Future[str]] = []

    def publish(
        self,
        lines: Iterable[Line],
        per_second: float | None,
        stop: Callable[[], bool] = lambda: False,
        on_line: Callable[[Line], None] = lambda _: None,
    ) -> None:
        """Publish `lines` until they end or `stop` returns true.

        `per_second` paces the transactions, with feedback in between; None publishes at full speed.
        """
        started, transactions = time.monotonic(), 0
        for line in lines:
            if line.topic == TRANSACTIONS:
                transactions += 1
                if per_second is not None:
                    time.sleep(max(0.0, started + transactions / per_second - time.monotonic()))
            self._publish(line)
            on_line(line)
            if stop():
                break
        self.flush()

    def _publish(self, line: Line) -> None:
        self.sent.count(line)
        topic = self._client.topic_path(self._project, line.topic)
        self._pending.append(self._client.publish(topic, bytes(line.data)))
        if len(self._pending) >= 2_000:
            self.flush()

    def flush(self) -> None:
        """Wait until all messages are published. Raises the errors of the client."""
        for future in self._pending:
            future.result(timeout=60)
        self._pending.clear()

    def close(self) -> None:
        """Publish pending messages and stop the client's threads."""
        self.flush()
        self._client.stop()
