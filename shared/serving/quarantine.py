"""Errors of a message that parsing cannot find: a time out of bounds, and a row that its table refuses."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import Malformed, PixError, RowRefused

DAY = 86_400e6  # in microseconds


def check_not_too_old(field: str, at: int, now: int, behind_days: float) -> None:
    """Check that the time in `field`, of which a table is partitioned, is at most `behind_days` before `now`.

    Both are in microseconds. Files of events are read without this check: their rows do not go through a stream.
    Raises Malformed.
    """
    if now - at > behind_days * DAY:
        raise Malformed("too_old", field)


def refused_by_table(indexes: Iterable[int]) -> dict[int, PixError]:
    """Return the error of each item whose row its table refused, by index."""
    return {index: RowRefused("a table refused the row") for index in indexes}
