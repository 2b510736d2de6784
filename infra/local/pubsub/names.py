"""Resource names: `projects/<project>/topics/<topic>` and `projects/<project>/subscriptions/<subscription>`."""

from __future__ import annotations

import re

from infra.local.pubsub.errors import InvalidArgument

# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_IDENTIFIER = r"(?!goog)[A-Za-z][A-Za-z0-9_.~+%-]{2,254}"
_PATTERNS = {
    kind: re.compile(rf"projects/(?P<project>[^/]+)/{kind}/(?P<id>{_IDENTIFIER})")
    for kind in ("topics", "subscriptions")
}


def check_topic(name: str) -> None:
    """Refuse a topic name that production would refuse; raises InvalidArgument."""
    split(name, "topics")


def check_subscription(name: str) -> None:
    """Refuse a subscription name that production would refuse; raises InvalidArgument."""
    split(name, "subscriptions")


def split(name: str, kind: str) -> tuple[str, str]:
    """Return project and identifier of a resource name; raises InvalidArgument.

    >>> split("projects/bank/topics/pix-transactions", "topics")
    ('bank', 'pix-transactions')
    """
    match = _PATTERNS[kind].fullmatch(name)
    if match is None:
        raise InvalidArgument(
            f"Invalid [{kind}] name: (name={name}). Use projects/<project>/{kind}/<id>; an id starts with a letter, "
            "not with 'goog', and has 3 to 255 letters, digits or any of -_.~+%."
        )
    return match["project"], match["id"]
