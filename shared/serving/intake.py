"""From the body of a delivery to its acknowledgement, for every function."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from shared.contract.envelope import PubsubMessage, decode_envelope, published, with_data
from shared.contract.rows import QuarantineRow
from shared.errors import Malformed, Overloaded, PixError, RowRefused, Unavailable
from shared.ports.messages import Received
from shared.ports.tables import Table
from shared.serving.group_commit import BatchLimits, GroupCommit, Item
from shared.serving.readiness import AT_ONCE, Readiness
from shared.telemetry.batches import CompletedBatch, Telemetry
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import MESSAGES, QUARANTINED, STAGE

log = logging.getLogger(__name__)

ACK = 204
SLOW_DOWN = 429
RETRY_LATER = 503
REFUSED = 500
FLUSH_SECONDS = 1.0

Delivered = TypeVar("Delivered")


class Intake(Generic[Item]):
    """Decode each delivery, store it, and return the HTTP status by which Pub/Sub acknowledges or retries.

    `store` returns the error of each item it failed to store, by index. The status is ACK once the row is stored, or
    its row in quarantine; RETRY_LATER if neither is; REFUSED if the table does not take its row, which is no fault of
    the message; SLOW_DOWN, before any work, while the queue is full. Pub/Sub takes the last three for a nack, and
    pushes less for a while.
    """

    def __init__(
        self,
        topic: str,
        decode: Callable[[PubsubMessage], Item],
        store: Callable[[Sequence[Item]], Awaitable[Mapping[int, PixError]]],
        quarantine: Table,
        payload_hash: Callable[[bytes], str],
        now: Callable[[], int],
        limits: BatchLimits,
        telemetry: Telemetry,
        readiness: Readiness = AT_ONCE,
    ) -> None:
        self.readiness = readiness
        self._topic = topic
        self._decode = decode
        self._store = store
        self._quarantine = quarantine
        self._payload_hash = payload_hash
        self._now = now
        self._telemetry = telemetry
        self._metrics = telemetry.metrics
        self._draining = False
        self._bodies: GroupCommit[bytes | Item, None] = GroupCommit(self._commit_bodies, limits, telemetry.record)
        one_batch = limits._replace(in_flight=1)
        self._malformed: GroupCommit[QuarantineRow, None] = GroupCommit(self._quarantine_all, one_batch)
        self._unavailable = Incident(log, "retry later", time.monotonic)
        self._overloaded = Incident(log, "overloaded", time.monotonic)
        self._failed = Incident(log, "failed", time.monotonic)

    async def handle(self, body: bytes) -> int:
        """Return the status of a delivery, once its row is stored. Raises the error of a fault in our own code."""
        if self._draining:
            return self._retry_later(Unavailable("shutting down"))
        try:
            try:
                await self._bodies.submit(body)
            except Malformed as error:
                await self._malformed.submit(self._quarantine_row(error, *published(body)))
        except Overloaded as error:
            return self._slow_down(error)
        except Unavailable as error:
            return self._retry_later(error)
        except RowRefused:  # the table's adapter has logged it
            self._metrics.add(MESSAGES, 1, "refused")
            return REFUSED
        except Exception:
            self._metrics.add(MESSAGES, 1, "failed")
            raise
        return ACK

    async def submit(self, item: Item) -> None:
        """Store an item that is decoded already, in the same batches as deliveries.

        Raises PixError, and the error of a fault in our own code.
        """
        try:
            if self._draining:
                raise Unavailable("shutting down")
            await self._bodies.submit(item)
        except Malformed:
            raise
        except Exception as error:
            self._not_stored(error)
            raise

    async def take(self, received: Sequence[Received], waiting: int) -> list[Exception | None]:
        """Store a batch from a source, while `waiting` messages wait there; return the error of each without a row.

        It is `handle` for many messages: a message without an error has its row, in its table or in quarantine. It
        never raises.
        """
        messages = [each.message for each in received]
        errors = await self._commit(messages, self._decode_message)
        malformed = {i: error for i, error in enumerate(errors) if isinstance(error, Malformed)}
        if malformed:
            rows = (self._quarantine_row(e, messages[i].data, messages[i].message_id) for i, e in malformed.items())
            stored = await asyncio.gather(*map(self._malformed.submit, rows), return_exceptions=True)
            for i, result in zip(malformed, stored, strict=True):
                errors[i] = result if isinstance(result, Exception) else None
        for error in filter(None, errors):
            self._not_stored(error)
        now = time.perf_counter()
        self._telemetry.record(CompletedBatch(waiting, [now - each.at for each in received]))
        return errors

    async def drain(self, seconds: float) -> None:
        """Refuse new deliveries, finish those in flight, and after `seconds` answer the rest RETRY_LATER."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._bodies.idle()
                await self._malformed.idle()
        except TimeoutError:
            for group in (self._bodies, self._malformed):
                group.abandon(Unavailable("shutting down"))
            await asyncio.sleep(0)  # lets their callers count them before the flush
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._telemetry.flush()
        except TimeoutError:
            log.warning("metrics not exported in time")

    def _retry_later(self, error: Unavailable) -> int:
        self._metrics.add(MESSAGES, 1, "unavailable")
        self._unavailable.trigger(topic=self._topic, reason=str(error))
        return RETRY_LATER

    def _slow_down(self, error: Overloaded) -> int:
        self._metrics.add(MESSAGES, 1, "overloaded")
        self._overloaded.trigger(topic=self._topic, reason=str(error))
        return SLOW_DOWN

    def _not_stored(self, error: Exception) -> None:
        """Count and log the error of a message that will be delivered again."""
        if isinstance(error, Overloaded):
            self._slow_down(error)
        elif isinstance(error, Unavailable):
            self._retry_later(error)
        elif isinstance(error, RowRefused):  # the table's adapter has logged it
            self._metrics.add(MESSAGES, 1, "refused")
        else:
            self._metrics.add(MESSAGES, 1, "failed")
            self._failed.trigger(error=error)

    async def _commit_bodies(self, bodies: Sequence[bytes | Item]) -> list[Exception | None]:
        return await self._commit(bodies, self._decode_body)

    async def _commit(
        self, deliveries: Sequence[Delivered], decode: Callable[[Delivered], Item]
    ) -> list[Exception | None]:
        """Store the deliveries that can be decoded; return the error of each, None if it is stored."""
        began = time.perf_counter()
        decoded = [_tried(decode, delivery) for delivery in deliveries]
        self._metrics.record(STAGE, time.perf_counter() - began, "decode")
        results = [each if isinstance(each, Exception) else None for each in decoded]
        items = [each for each in decoded if not isinstance(each, Exception)]
        if items:
            stored = iter(await self._stored(items))
            results = [each or next(stored) for each in results]
        return results

    def _decode_body(self, body: bytes | Item) -> Item:
        return self._decode(decode_envelope(body)) if isinstance(body, bytes) else body

    def _decode_message(self, message: PubsubMessage) -> Item:
        return self._decode(with_data(message))

    async def _stored(self, items: Sequence[Item]) -> list[Exception | None]:
        """Store items and return the error of each; halve a batch with an unforeseen fault until it is isolated."""
        try:
            failed = await self._store(items)
        except Unavailable as error:
            return [error] * len(items)
        except Exception as error:  # noqa: BLE001 (no fault of one item may fail the rest of its batch)
            half = len(items) // 2
            return [*await self._stored(items[:half]), *await self._stored(items[half:])] if half else [error]
        self._metrics.add(MESSAGES, len(items) - len(failed), "stored")
        if not any(isinstance(error, Unavailable) for error in failed.values()):
            self._unavailable.resolve()
        self._overloaded.resolve()
        return [failed.get(i) for i in range(len(items))]

    async def _quarantine_all(self, rows: Sequence[QuarantineRow]) -> list[Exception | None]:
        refused = set(await self._quarantine.append(rows))
        self._metrics.add(MESSAGES, len(rows) - len(refused), "quarantined")
        self._metrics.add_each(QUARANTINED, (row.reason for i, row in enumerate(rows) if i not in refused))
        log.warning("quarantined", extra={"fields": {"topic": self._topic, "messages": len(rows)}})
        return [Unavailable("quarantine refused the row") if i in refused else None for i in range(len(rows))]

    def _quarantine_row(self, error: Malformed, payload: bytes, message_id: str | None) -> QuarantineRow:
        return QuarantineRow(
            quarantined_at=self._now(),
            topic=self._topic,
            reason=error.reason,
            payload_hash=self._payload_hash(payload),
            payload_bytes=len(payload),
            field=error.field,
            message_id=message_id,
        )


def _tried(decode: Callable[[Delivered], Item], delivery: Delivered) -> Item | Exception:
    try:
        return decode(delivery)
    except Exception as error:  # noqa: BLE001 (no fault of one message may fail the rest of its batch)
        return error
