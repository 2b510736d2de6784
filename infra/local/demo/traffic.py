"""Publish the live part of a stream and count its messages; outcomes and reports come once their Pix are decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
from google.cloud.pubsub_v1 import PublisherClient

from infra.local.aftermath.fitting import TopicMessage
from infra.local.aftermath.held import Published, Truth
from infra.local.aftermath.publisher import AftermathPublisher, Ask
from shared.contract.events_file import Line
from shared.contract.feedback import decode_feedback
from shared.contract.outcome import decode_outcome
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed


class Asked(NamedTuple):
    """A Pix and the side that asks; the key of `pix.scores` and `pix.life`."""

    end_to_end_id: str
    side: str


class Told(NamedTuple):
    """An outcome, without the times that its redeliveries share."""

    end_to_end_id: str
    side: str
    status: str
    return_id: str | None


@dataclass(slots=True)
class Sent:
    """Counts of published messages; `ids` and `outcomes` are the distinct valid transactions and outcomes."""

    ids: set[Asked] = field(default_factory=set)
    outcomes: set[Told] = field(default_factory=set)
    transactions: int = 0
    feedback: int = 0
    malformed: int = 0

    @property
    def rows(self) -> int:
        """Return the number of rows to expect, not counting redeliveries."""
        return len(self.ids) + len(self.outcomes) + self.feedback + self.malformed

    def count(self, line: Line) -> None:
        """Count a transaction, or a message that cannot be read; the others are counted as they are published."""
        self.transactions += line.topic == TRANSACTIONS
        try:
            key = _READ[line.topic](line)
        except Malformed:
            self.malformed += 1
        else:
            if isinstance(key, Asked):
                self.ids.add(key)


def asked(line: Line) -> Asked:
    """Return the key of a transaction. Raises Malformed."""
    transaction = decode_transaction(bytes(line.data)).value
    return Asked(transaction.end_to_end_id, str(transaction.side))


def told(data: bytes) -> Told:
    """Return the key of an outcome. Raises Malformed."""
    outcome = decode_outcome(data).value
    return Told(outcome.end_to_end_id, str(outcome.side), str(outcome.status), outcome.return_id)


class StreamPublisher:
    """A context that publishes lines at a given pace, by the official client, and outcomes by decisions."""

    def __init__(self, project: str, ask: Ask, truth: Truth) -> None:
        """`ask` returns the decisions about published Pix, `truth` the findings of reviewers who do not err."""
        self.sent = Sent()
        self._client = PublisherClient()
        self._project = project
        self._pending: list[Future[str]] = []
        self._aftermath = AftermathPublisher(ask, self._tell, truth)

    def __enter__(self) -> Self:
        self._aftermath.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._aftermath.__exit__(kind, error, trace)
        finally:
            self._client.stop()

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

    def waiting(self) -> int:
        """Return the number of Pix whose messages wait for a decision. Raises GoogleAPIError, TimeoutError."""
        return self._aftermath.waiting()

    def flush(self) -> None:
        """Wait until all messages are published, apart from outcomes and reports. Raises the errors of the client."""
        for future in self._pending:
            future.result(timeout=60)
        self._pending.clear()

    def _publish(self, line: Line) -> None:
        if _is_readable(line):
            message = msgspec.json.decode(line.data)
            if line.topic != TRANSACTIONS:
                self._aftermath.hold(TopicMessage(line.topic, message))
                return
            self._aftermath.asked(Published.of(message))
        self.sent.count(line)
        self._pending.append(self._send(line.topic, bytes(line.data)))
        if len(self._pending) >= 2_000:
            self.flush()

    def _tell(self, messages: Sequence[TopicMessage]) -> None:
        """Publish outcomes and reports; called by another thread."""
        sent = []
        for topic, message in messages:
            data = msgspec.json.encode(message)
            if topic == OUTCOMES:
                self.sent.outcomes.add(told(data))
            else:
                self.sent.feedback += 1
            sent.append(self._send(topic, data))
        for future in sent:
            future.result(timeout=60)

    def _send(self, topic: str, data: bytes) -> Future[str]:
        future: Future[str] = self._client.publish(self._client.topic_path(self._project, topic), data)
        return future


def _is_readable(line: Line) -> bool:
    """Return whether a message is of the contract, so that it has a row."""
    try:
        _READ[line.topic](line)
    except Malformed:
        return False
    return True


_READ: Mapping[str, Callable[[Line], object]] = {
    TRANSACTIONS: asked,
    OUTCOMES: lambda line: told(bytes(line.data)),
    FEEDBACK: lambda line: decode_feedback(bytes(line.data)),
}
