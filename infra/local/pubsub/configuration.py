"""Checks and defaults of a subscription's configuration, as documented for production."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from infra.local.pubsub import names
from infra.local.pubsub.backlog import DeliveryPolicy
from infra.local.pubsub.errors import InvalidArgument, OutOfRange, Unimplemented
from infra.local.pubsub.retry import IMMEDIATELY, PUSH_DEFAULT, Backoff

ACK_DEADLINES = range(10, 601)  # seconds
MAX_ATTEMPTS = range(5, 101)
LONGEST_BACKOFF = 600.0  # seconds
RETENTIONS = (600, 2_678_400)  # seconds: 10 minutes to 31 days
_REFUSED = (
    "bigquery_config",
    "bigtable_config",
    "cloud_storage_config",
    "enable_exactly_once_delivery",
    "enable_message_ordering",
    "filter",
    "message_transforms",
)


def complete(subscription: Any) -> None:
    """Fill in a Subscription's defaults; raises PubSubError for invalid values and unimplemented features."""
    names.check_subscription(subscription.name)
    _refuse_unimplemented(subscription)
    _complete_deadlines(subscription)
    if subscription.HasField("retry_policy"):
        _complete_retry_policy(subscription.retry_policy)
    if subscription.HasField("dead_letter_policy"):
        _complete_dead_letter_policy(subscription.dead_letter_policy)
    check_push(subscription.push_config)


def check_push(push_config: Any) -> None:
    """Refuse an endpoint that is not an HTTP address; raises InvalidArgument, Unimplemented."""
    if push_config.HasField("no_wrapper"):
        raise Unimplemented("push_config.no_wrapper is not available locally: leave it out.")
    if not push_config.push_endpoint:
        return
    address = urlsplit(push_config.push_endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InvalidArgument(
            f"Unsupported push_endpoint {push_config.push_endpoint}: use http(s)://host[:port]/path."
        )


def delivery_policy(subscription: Any) -> DeliveryPolicy:
    """Return the retries and the retention of a completed Subscription."""
    return DeliveryPolicy(
        backoff=_backoff(subscription),
        max_attempts=subscription.dead_letter_policy.max_delivery_attempts,
        retention=_seconds(subscription.message_retention_duration),
    )


def _backoff(subscription: Any) -> Backoff:
    if subscription.HasField("retry_policy"):
        policy = subscription.retry_policy
        return Backoff(_seconds(policy.minimum_backoff), _seconds(policy.maximum_backoff))
    return PUSH_DEFAULT if subscription.push_config.push_endpoint else IMMEDIATELY


def _refuse_unimplemented(subscription: Any) -> None:
    present = {field.name for field, _ in subscription.ListFields()}
    for feature in _REFUSED:
        if feature in present:
            raise Unimplemented(f"{feature} is not available locally: leave it out.")


def _complete_deadlines(subscription: Any) -> None:
    subscription.ack_deadline_seconds = subscription.ack_deadline_seconds or 10
    if subscription.ack_deadline_seconds not in ACK_DEADLINES:
        raise InvalidArgument("ack_deadline_seconds out of bounds: use 10 to 600.")
    if not subscription.HasField("message_retention_duration"):
        subscription.message_retention_duration.FromSeconds(604_800)
    shortest, longest = RETENTIONS
    if not shortest <= _seconds(subscription.message_retention_duration) <= longest:
        raise InvalidArgument("message_retention_duration out of bounds: use 10 minutes to 31 days.")


def _complete_retry_policy(policy: Any) -> None:
    if not policy.HasField("minimum_backoff"):
        policy.minimum_backoff.FromSeconds(10)
    if not policy.HasField("maximum_backoff"):
        policy.maximum_backoff.FromSeconds(600)
    minimum, maximum = _seconds(policy.minimum_backoff), _seconds(policy.maximum_backoff)
    if not 0 <= minimum <= maximum <= LONGEST_BACKOFF:
        raise InvalidArgument(
            f"retry_policy needs 0s <= minimum_backoff <= maximum_backoff <= 600s; got {minimum}s and {maximum}s."
        )


def _complete_dead_letter_policy(policy: Any) -> None:
    names.check_topic(policy.dead_letter_topic)
    policy.max_delivery_attempts = policy.max_delivery_attempts or 5
    if policy.max_delivery_attempts not in MAX_ATTEMPTS:
        raise OutOfRange(f"max_delivery_attempts is {policy.max_delivery_attempts}: use 5 to 100.")


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)
