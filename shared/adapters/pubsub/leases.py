"""Messages of a subscription that are pulled in one call, and settled in another, by the official client.

PUBSUB_EMULATOR_HOST redirects it to an emulator. `shared.adapters.pubsub.pull` is the stream of a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.api_core import exceptions
from google.cloud.pubsub_v1 import SubscriberClient

from shared.adapters.google_failures import FAILURES
from shared.batched import batched
from shared.errors import Misconfigured, Unavailable

_AT_ONCE = 1_000
"""Ids in a request, which may have 512 KiB."""


class Leases:
    """The leases of one client on the messages of a subscription."""

    def __init__(self, subscriber: SubscriberClient, subscription: str) -> None:
        self._subscriber = subscriber
        self._subscription = subscription

    def pull(self, limit: int, seconds: float) -> Sequence[Any]:
        """Lease up to `limit` messages; return none if none arrives in time. Raises Unavailable, Misconfigured."""
        try:
            answer = self._subscriber.pull(
                subscription=self._subscription, max_messages=limit, timeout=seconds, retry=None
            )
        except exceptions.DeadlineExceeded:
            return []
        except exceptions.NotFound as error:
            raise Misconfigured(f"there is no subscription {self._subscription}") from error
        except FAILURES as error:
            raise Unavailable(f"Pub/Sub: {type(error).__name__}") from error
        return answer.received_messages  # type: ignore[no-any-return]  # the client is untyped

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """End the delivery of messages. Raises Unavailable."""
        for request in self._requests(ack_ids):
            _answered(lambda request=request: self._subscriber.acknowledge(request=request))  # type: ignore[misc]  # mypy cannot infer the type of a lambda's default

    def release(self, ack_ids: Sequence[str]) -> None:
        """Have messages delivered again. Raises Unavailable."""
        for each in self._requests(ack_ids):
            request = {**each, "ack_deadline_seconds": 0}
            _answered(lambda request=request: self._subscriber.modify_ack_deadline(request=request))  # type: ignore[misc]  # as above

    def _requests(self, ack_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        for some in batched(ack_ids, _AT_ONCE):
            yield {"subscription": self._subscription, "ack_ids": some}


def _answered(request: Callable[[], None]) -> None:
    try:
        request()
    except FAILURES as error:
        raise Unavailable(f"Pub/Sub: {type(error).__name__}") from error
