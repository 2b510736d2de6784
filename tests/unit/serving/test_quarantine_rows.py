"""A row in quarantine identifies its message: id, and hash and size of the published data."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence

import pytest

from shared.adapters.memory.serving import MemoryTable
from shared.contract.envelope import PubsubMessage
from shared.contract.payload_hash import PayloadHash
from shared.contract.rows import QuarantineRow
from shared.contract.transaction import Transaction, decode_transaction
from shared.errors import PixError
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK, Intake
from tests.telemetry import make_telemetry
from tests.waiting import PATIENCE

PAYLOAD_HASH = PayloadHash(b"test")


def body(**message: object) -> bytes:
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


def quarantined(delivery: bytes) -> MemoryTable:
    """Return the quarantine after a delivery, which is acknowledged."""

    async def store(items: Sequence[Transaction]) -> Mapping[int, PixError]:
        raise AssertionError(f"stored {len(items)}")

    def decode(message: PubsubMessage) -> Transaction:
        return decode_transaction(message.data).value

    async def deliver() -> int:
        return await asyncio.wait_for(intake.handle(delivery), PATIENCE)

    table = MemoryTable()
    telemetry = make_telemetry()
    intake = Intake("pix-transactions", decode, store, table, PAYLOAD_HASH, lambda: 0, BatchLimits(16, 4), telemetry)
    assert asyncio.run(deliver()) == ACK
    return table


@pytest.mark.parametrize(
    ("delivery", "reason", "message_id", "payload"),
    [
        (body(data="", messageId="7", attributes={"origin": "psp"}), "no_data", "7", b""),
        (body(messageId="7", attributes={"origin": "psp"}), "no_data", "7", b""),
        (body(data="@@", messageId="7"), "not_base64", "7", b"@@"),
        (body(data="\u00e7", messageId="7"), "not_base64", "7", "\u00e7".encode()),
        (body(data=[1, 2], messageId="7"), "not_base64", "7", b"[1, 2]"),
        (body(data=base64.b64encode(b"{").decode(), messageId="7"), "not_json", "7", b"{"),
        (body(data="@@"), "not_base64", None, b"@@"),
        (b"[1]", "not_an_envelope", None, b"[1]"),
        (b'{"message":' * 50_000, "not_an_envelope", None, b'{"message":' * 50_000),
    ],
)
def test_a_row_names_its_message(delivery: bytes, reason: str, message_id: str | None, payload: bytes) -> None:
    (row,) = quarantined(delivery).rows
    assert isinstance(row, QuarantineRow)
    assert (row.reason, row.message_id) == (reason, message_id)
    assert (row.payload_bytes, row.payload_hash) == (len(payload), PAYLOAD_HASH(payload))
