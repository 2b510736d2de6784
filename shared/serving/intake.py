"""From the body of a delivery to an acknowledgement: what both functions share."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic

from shared.contract.envelope import PubsubMessage, decode_envelope
from shared.contract.rows import QuarantineRow
from shared.errors import Malformed, Overloaded, PixError, Unavailable
from shared.ports import Table
from shared.serving.group_commit import BatchLimits, GroupCommit, Item
from shared.telemetry.batches import Telemetry
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import MESSAGES, QUARANTINED, STAGE

log = logging.getLogger(__name__)

ACK = 204
SLOW_DOWN = 429
RETRY_LATER = 503
FLUSH_SECONDS = 1.0


class Intake(Generic[Item]):
    """Decode each delivery, have it stored, and answer with the HTTP status that tells Pub/Sub what happens next.

    `store` says, of each item that it could not store, why. ACK once its row is stored, or the row of its quarantine;
    RETRY_LATER if neither could be; SLOW_DOWN, before anything is done, while too much waits. Pub/Sub takes both for
    a nack, and pushes less for a while.
    """

    def __init__(
        self,
        topic: str,
        decode: Callable[[PubsubMessage], Item],
        store: Callable[[Sequence[Item]], Awaitable[Mapping[int, PixError]]],
        quarantine: Table,
        now: Callable[[], int],
        limits: BatchLimits,
        telling: Telemetry,
    ) -> None:
        self._topic = topic
        self._decode = decode
        self._store = store
        self._quarantine = quarantine
        self._now = now
        self._telling = telling
        self._metrics = telling.metrics
        self._draining = False
        self._bodies: GroupCommit[bytes, None] = GroupCommit(self._commit, limits, telling.done)
        self._refused: GroupCommit[QuarantineRow, None] = GroupCommit(self._set_aside, limits._replace(in_flight=1))
        self._unavailable = Incident(log, "retry later", time.monotonic)
        self._overloaded = Incident(log, "overloaded", time.monotonic)

    async def handle(self, body: bytes) -> int:
        """Return the status to answer with, after the row is stored."""
        if self._draining:
            return self._retry_later(Unavailable("shutting down"))
        try:
            try:
                await self._bodies.submit(body)
            except Malformed as error:
                await self._refused.submit(self._quarantine_row(error, body))
        except Overloaded as error:
            self._metrics.add(MESSAGES, 1, "overloaded")
            self._overloaded.happened(topic=self._topic, reason=str(error))
            return SLOW_DOWN
        except Unavailable as error:
            return self._retry_later(error)
        except Exception:
            self._metrics.add(MESSAGES, 1, "failed")
            raise
        return ACK

    async def drain(self, seconds: float) -> None:
        """Take nothing more, finish what is in flight, and give up on what then is not through (503)."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._bodies.idle()
                await self._refused.idle()
        except TimeoutError:
            for group in (self._bodies, self._refused):
                group.abandon(Unavailable("shutting down"))
            await asyncio.sleep(0)  # who hears of it counts it
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._telling.flush()
        except TimeoutError:
            log.warning("metrics not exported in time")

    def _retry_later(self, error: Unavailable) -> int:
        self._metrics.add(MESSAGES, 1, "unavailable")
        self._unavailable.happened(topic=self._topic, reason=str(error))
        return RETRY_LATER

    async def _commit(self, bodies: Sequence[bytes]) -> list[Exception | None]:
        """Have what can be read stored, and say of each body what went wrong with it."""
        began = time.perf_counter()
        read = [self._read(body) for body in bodies]
        self._metrics.record(STAGE, time.perf_counter() - began, "decode")
        results = [each if isinstance(each, Exception) else None for each in read]
        items = [each for each in read if not isinstance(each, Exception)]
        if items:
            stored = iter(await self._stored(items))
            results = [each or next(stored) for each in results]
        return results

    def _read(self, body: bytes) -> Item | Exception:
        try:
            return self._decode(decode_envelope(body))
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one message must not fail those beside it)
            return error

    async def _stored(self, items: Sequence[Item]) -> list[Exception | None]:
        """Store items. A fault that one of them brings, which we did not foresee, must not fail those beside it."""
        try:
            failed = await self._store(items)
        except Unavailable as error:
            return [error] * len(items)
        except Exception as error:  # noqa: BLE001 (as said)
            half = len(items) // 2
            return [*await self._stored(items[:half]), *await self._stored(items[half:])] if half else [error]
        self._metrics.add(MESSAGES, len(items) - len(failed), "stored")
        if not any(isinstance(error, Unavailable) for error in failed.values()):
            self._unavailable.over()
        self._overloaded.over()
        return [failed.get(i) for i in range(len(items))]

    async def _set_aside(self, rows: Sequence[QuarantineRow]) -> list[Exception | None]:
        refused = set(await self._quarantine.append(rows))
        self._metrics.add(MESSAGES, len(rows) - len(refused), "quarantined")
        self._metrics.add_each(QUARANTINED, (row.reason for i, row in enumerate(rows) if i not in refused))
        log.warning("quarantined", extra={"fields": {"topic": self._topic, "messages": len(rows)}})
        return [Unavailable("quarantine refused the row") if i in refused else None for i in range(len(rows))]

    def _quarantine_row(self, error: Malformed, body: bytes) -> QuarantineRow:
        payload, message_id = _payload(body)
        return QuarantineRow(
            quarantined_at=self._now(),
            topic=self._topic,
            reason=error.reason,
            payload_sha256=hashlib.sha256(payload).hexdigest(),
            payload_bytes=len(payload),
            field=error.field,
            message_id=message_id,
        )


def _payload(body: bytes) -> tuple[bytes, str | None]:
    """Return what was published and its message id, or the whole body if that is no envelope."""
    try:
        message = decode_envelope(body)
    except Malformed:
        return body, None
    return message.data, message.message_id or None


def refusals(places: Iterable[int]) -> dict[int, PixError]:
    """Return what becomes of items whose rows a table will never take."""
    return {place: Malformed("refused_by_table") for place in places}


def check_not_in_the_future(field: str, at: int, now: int, ahead_seconds: float) -> None:
    """Check that a message does not say it happened later than that (microseconds). Raises Malformed.

    Otherwise all records of the Pix would move to that time, and what they counted would look old until then.
    """
    if at - now > ahead_seconds * 1e6:
        raise Malformed("in_the_future", field)
