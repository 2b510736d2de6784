"""The body of a push request: https://cloud.google.com/pubsub/docs/push#receive_push."""

from __future__ import annotations

import binascii
import functools
import json
from datetime import UTC, datetime
from typing import Any


def push_body(message: Any, subscription: str, attempt: int | None) -> bytes:
    """Return the JSON body of one push; `attempt` is None without a dead-letter policy.

    It is assembled from strings, as only attributes and ordering keys can need escaping.
    """
    published = rfc3339(message.publish_time.seconds, message.publish_time.nanos // 1_000_000, "Z")
    attributes = json.dumps(dict(message.attributes), separators=(",", ":")) if message.attributes else "{}"
    ordering = f',"orderingKey":{json.dumps(message.ordering_key)}' if message.ordering_key else ""
    data = binascii.b2a_base64(message.data, newline=False).decode("ascii")
    attempts = f',"deliveryAttempt":{attempt}' if attempt else ""
    return (
        f'{{"message":{{"data":"{data}","attributes":{attributes},'
        f'"messageId":"{message.message_id}","message_id":"{message.message_id}",'
        f'"publishTime":"{published}","publish_time":"{published}"{ordering}}},'
        f'"subscription":"{subscription}"{attempts}}}'
    ).encode()


@functools.lru_cache(maxsize=1024)
def rfc3339(seconds: int, milliseconds: int, zone: str) -> str:
    """Format a time in UTC with milliseconds.

    >>> rfc3339(1795202067, 348, "Z")
    '2026-11-20T19:14:27.348Z'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}{zone}"
