"""The HTTP body in which Pub/Sub delivers one message, by push or through Eventarc.

Both send the same JSON: a push subscription as the body itself, Eventarc as the data of a CloudEvent in binary mode,
whose attributes are in the headers. One decoder serves both.
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
