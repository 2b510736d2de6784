"""The reason for quarantine that parsing cannot find: a row that its table refuses."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import Malformed, PixError


def refused_by_table(indexes: Iterable[int]) -> dict[int, PixError]:
    """Return the error of each item whose row its table will never take, by index."""
    return {index: Malformed("refused_by_table") for index in indexes}
