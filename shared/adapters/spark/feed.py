"""Messages in the tasks of Spark, through the intake of a function.

Each of Python's worker processes keeps one intake for all its tasks, on an event loop in a thread of its own, so that
connections and the model live as long as the process.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import cache
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from shared.contract.envelope import PubsubMessage
from shared.ports.messages import Received
from shared.serving.insisting import Retries, insist
from shared.serving.intake import Intake
from shared.settings import Settings
from shared.telemetry import logs

MESSAGES = "data binary, message_id string, published_at long, attempt int, receipt string, key binary"
"""The columns of messages, for Spark: `data` may be null, the time is in microseconds since the epoch, and `receipt`
and `key` are the source's own."""
LETTERS = "key binary, data binary, message_id string"
"""The columns of dead letters, for Spark."""
_LETTERS = pa.schema([("key", pa.binary()), ("data", pa.binary()), ("message_id", pa.string())])
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Wire = Callable[[Settings], Intake[Any]]
"""The composition root of a function."""
Found = TypeVar("Found")


class Settlement(Protocol):
    """The end of messages in their source."""

    @property
    def retries(self) -> Retries:
        """Return the attempts at a message before `settle`."""
        ...

    def settle(self, batch: pa.RecordBatch, errors: Sequence[Exception | None]) -> pa.RecordBatch:
        """Settle messages without an error, which have their rows, and return those that are dead letters now."""
        ...


class Feed(NamedTuple):
    """Store the messages that come to a task, and give its dead letters; for `mapInArrow`."""

    wire: Wire
    settings: Settings
    settlement: Settlement

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the dead letters of each batch. Raises Misconfigured if there can be no intake."""
        for batch in batches:
            if batch.num_rows:
                errors = _resident(self.wire, self.settings).insist(received(batch), self.settlement.retries)
                letters = self.settlement.settle(batch, errors)
                yield letters.select(_LETTERS.names).cast(_LETTERS)


def received(batch: pa.RecordBatch) -> list[Received]:
    """Return the messages of a batch with the columns of MESSAGES."""
    now = perf_counter()
    return [Received(_message(row), row["receipt"], now) for row in batch.to_pylist()]


class _Resident:
    """An intake on an event loop that runs in a thread until the process ends."""

    def __init__(self, wire: Wire, settings: Settings) -> None:
        logs.configure()
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="intake", daemon=True).start()
        self._intake = self._done(_started(wire, settings))

    def insist(self, messages: Sequence[Received], retries: Retries) -> list[Exception | None]:
        """Store a batch as `shared.serving.insisting.insist` does."""
        return self._done(insist(self._intake, messages, retries))

    def _done(self, work: Coroutine[Any, Any, Found]) -> Found:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@cache
def _resident(wire: Wire, settings: Settings) -> _Resident:
    """Return the intake of this process, made at the first call."""
    return _Resident(wire, settings)


async def _started(wire: Wire, settings: Settings) -> Intake[Any]:
    intake = wire(settings)
    await intake.readiness.wait()
    return intake


def _message(row: dict[str, Any]) -> PubsubMessage:
    at = row["published_at"]
    published = None if at is None else _EPOCH + dt.timedelta(microseconds=at)
    return PubsubMessage(row["data"] or b"", row["message_id"], published, row["attempt"])
