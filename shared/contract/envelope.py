"""The HTTP body in which Pub/Sub delivers one message, by push or through Eventarc.

Both send the same JSON: a push subscription as the body itself, Eventarc as the data of a CloudEvent in binary mode,
whose attributes are in the headers. One decoder serves both.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from shared.contract.fields import Instant
from shared.errors import Malformed


class PubsubMessage(Struct, frozen=True, gc=False):
    """A delivered message; `data` is as published, `delivery_attempt` stands beside it on the wire."""

    data: bytes = b""
    message_id: str = field(default="", name="messageId")
    publish_time: Instant | None = field(default=None, name="publishTime")
    delivery_attempt: int | None = None


class Envelope(Struct, frozen=True, gc=False):
    """The body of a delivery; a subscription with dead letters counts its attempts."""

    message: PubsubMessage
    delivery_attempt: Any = field(default=None, name="deliveryAttempt")


class _Unread(Struct, frozen=True, gc=False):
    data: msgspec.Raw = msgspec.Raw(b'""')
    message_id: str = field(default="", name="messageId")


class _UnreadEnvelope(Struct, frozen=True, gc=False):
    message: _Unread


_decoder = msgspec.json.Decoder(Envelope)
_unread_decoder = msgspec.json.Decoder(_UnreadEnvelope)


def decode_envelope(body: bytes) -> PubsubMessage:
    """Return the message in a push body. Raises Malformed: `not_an_envelope`, `not_base64` or `no_data`."""
    try:
        envelope = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Malformed("not_base64" if str(error).endswith("`$.message.data`") else "not_an_envelope") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("not_an_envelope") from None
    message, attempt = with_data(envelope.message), envelope.delivery_attempt
    counted = isinstance(attempt, int) and 0 < attempt < 1 << 31
    return msgspec.structs.replace(message, delivery_attempt=attempt) if counted else message


def with_data(message: PubsubMessage) -> PubsubMessage:
    """Return a message, unless it has no data. Raises Malformed: `no_data`."""
    if not message.data:
        raise Malformed("no_data")
    return message


def published(body: bytes) -> tuple[bytes, str | None]:
    """Return the payload and the message id of any push body, for quarantine.

    The payload is the decoded data, or the data as received if it is not base64. A body that is not an envelope is
    its own payload, and has no id.
    """
    try:
        message = _decoder.decode(body).message
        return message.data, message.message_id or None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        unread = _unread_decoder.decode(body).message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body, None
    return _as_received(unread.data), unread.message_id or None


def _as_received(data: msgspec.Raw) -> bytes:
    """Return the text of a JSON string, or any other JSON value as it is written."""
    try:
        return msgspec.json.decode(data, type=str).encode()
    except (msgspec.MsgspecError, UnicodeError):
        return bytes(data)
