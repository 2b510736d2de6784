"""The body of a push delivery: a message, or malformed."""

import base64
import datetime as dt
import json

import pytest

from shared.contract.envelope import decode_envelope
from shared.errors import Malformed
from tests.builders import push_body

DATA = base64.b64encode(b"{}").decode()


def body(**message: object) -> bytes:
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


def test_a_push_body_holds_data_id_and_time() -> None:
    message = decode_envelope(push_body(b"{}", "17"))
    assert (message.data, message.message_id) == (b"{}", "17")
    assert message.publish_time == dt.datetime(2026, 11, 20, 14, 32, 5, 500_000, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (b"", "not_an_envelope"),
        (b"\xff", "not_an_envelope"),
        (b'{"message": null}', "not_an_envelope"),
        (b'{"message":' * 50_000, "not_an_envelope"),
        (body(data=DATA, messageId=5), "not_an_envelope"),
        (body(data=DATA, publishTime="yesterday"), "not_an_envelope"),
        (body(data=DATA, publishTime="2026-11-20T14:32:05"), "not_an_envelope"),  # of which zone?
        (body(data="@@"), "not_base64"),
        (body(data=""), "no_data"),
        (body(messageId="1"), "no_data"),
    ],
)
def test_invalid_deliveries_are_malformed(delivery: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        decode_envelope(delivery)
    assert refused.value.reason == reason
