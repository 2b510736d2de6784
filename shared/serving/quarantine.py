"""Errors of a message that parsing cannot find: a time out of bounds, and a row that its table refuses."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import Malformed, PixError, RowRefused, Unavailable

SECOND, DAY = 1e6, 86_400e6  # in microseconds


def check_not_in_the_future(field: str, at: int, now: int, ahead_seconds: float) -> None:
    """Check that the time in `field` is at most `ahead_seconds` after `now` (both in microseconds).

    A later time would move all records of the Pix to it, and every count before it would look old until then.
    Raises Malformed.
    """
    if at - now > ahead_seconds * SECOND:
        raise Malformed("in_the_future", field)


def check_not_too_old(field: str, at: int, now: int, behind_days: float) -> None:
    """Check that the time in `field`, of which a table is partitioned, is at most `behind_days` before `now`.

    Both are in microseconds. Files of events are read without this check: their rows do not go through a stream.
    Raises Malformed.
    """
    if now - at > behind_days * DAY:
        raise Malformed("too_old", field)


def wait_for(at: int, now: int, ahead_seconds: float) -> None:
    """Let a message whose time is more than `ahead_seconds` after `now` (both in microseconds) wait for it.

    Raises Unavailable, so that it is delivered again, and becomes a dead letter if its time never comes.
    """
    if at - now > ahead_seconds * SECOND:
        raise Unavailable("a message is dated ahead of the clock")


def refused_by_table(indexes: Iterable[int]) -> dict[int, PixError]:
    """Return the error of each item whose row its table refused, by index."""
    return {index: RowRefused("a table refused the row") for index in indexes}
