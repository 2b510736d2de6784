"""The body in which Pub/Sub hands over one message, by push or by way of Eventarc.

Both put the same JSON into the HTTP body: a push subscription as it is, Eventarc as the data of a CloudEvent in
binary mode, whose own attributes are in the headers. So one decoder serves both.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from shared.contract.fields import Instant
from shared.errors import Malformed


class PubsubMessage(Struct, frozen=True, gc=False):
    """A delivered message; `data` is decoded from base64."""

    data: bytes = b""
    message_id: str = field(default="", name="messageId")
    publish_time: Instant | None = field(default=None, name="publishTime")


class Envelope(Struct, frozen=True, gc=False):
    """The body of a delivery."""

    message: PubsubMessage


_decoder = msgspec.json.Decoder(Envelope)


def decode_envelope(body: bytes) -> PubsubMessage:
    """Return the message in a push body. Raises Malformed: `not_an_envelope`, `not_base64` or `no_data`."""
    try:
        message = _decoder.decode(body).message
    except msgspec.ValidationError as error:
        raise Malformed("not_base64" if str(error).endswith("`$.message.data`") else "not_an_envelope") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("not_an_envelope") from None
    if not message.data:
        raise Malformed("no_data")
    return message
