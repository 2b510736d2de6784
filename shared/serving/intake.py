"""From the body of a delivery to an acknowledgement: what both functions share."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.contract.envelope import PubsubMessage, decode_envelope
from shared.contract.rows import QuarantineRow
from shared.errors import Malformed, Unavailable
from shared.ports import Table
from shared.serving.group_commit import GroupCommit

log = logging.getLogger(__name__)

ACK = 204
RETRY_LATER = 503

Item = TypeVar("Item")


class Intake(Generic[Item]):
    """Decode each delivery, have it stored, and answer with the HTTP status that tells Pub/Sub what happens next.

    ACK once its row is stored, or the row of its quarantine; RETRY_LATER if neither could be.
    """

    def __init__(
        self,
        topic: str,
        decode: Callable[[PubsubMessage], Item],
        store: Callable[[Sequence[Item]], Awaitable[list[int]]],
        quarantine: Table,
        now: Callable[[], int],
        batch_max: int,
        batches_in_flight: int,
    ) -> None:
        self._topic = topic
        self._decode = decode
        self._store = store
        self._quarantine = quarantine
        self._now = now
        self._items: GroupCommit[Item, None] = GroupCommit(self._commit, batch_max, batches_in_flight)
        self._refused: GroupCommit[QuarantineRow, None] = GroupCommit(self._set_aside, batch_max, 1)

    async def handle(self, body: bytes) -> int:
        """Return the status to answer with, after the row is stored."""
        payload, message_id = body, None
        try:
            try:
                message = decode_envelope(body)
                payload, message_id = message.data, message.message_id or None
                await self._items.submit(self._decode(message))
            except Malformed as error:
                await self._refused.submit(self._quarantine_row(error, payload, message_id))
        except Unavailable as error:
            log.error("retry later", extra={"fields": {"topic": self._topic, "reason": str(error)}})
            return RETRY_LATER
        return ACK

    async def _commit(self, items: Sequence[Item]) -> list[Exception | None]:
        refused = set(await self._store(items))
        return [Malformed("refused_by_table") if i in refused else None for i in range(len(items))]

    async def _set_aside(self, rows: Sequence[QuarantineRow]) -> list[Exception | None]:
        refused = set(await self._quarantine.append(rows))
        log.warning("quarantined", extra={"fields": {"topic": self._topic, "messages": len(rows)}})
        return [Unavailable("quarantine refused the row") if i in refused else None for i in range(len(rows))]

    def _quarantine_row(self, error: Malformed, payload: bytes, message_id: str | None) -> QuarantineRow:
        return QuarantineRow(
            quarantined_at=self._now(),
            topic=self._topic,
            reason=error.reason,
            payload_sha256=hashlib.sha256(payload).hexdigest(),
            payload_bytes=len(payload),
            field=error.field,
            message_id=message_id,
        )


def check_not_in_the_future(field: str, at: int, now: int, ahead_seconds: float) -> None:
    """Check that a message does not say it happened later than that (microseconds). Raises Malformed.

    Otherwise all records of the Pix would move to that time, and what they counted would look old until then.
    """
    if at - now > ahead_seconds * 1e6:
        raise Malformed("in_the_future", field)
