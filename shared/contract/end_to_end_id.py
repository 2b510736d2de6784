"""The minute in an EndToEndId."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache


def minute_of(end_to_end_id: str) -> dt.datetime | None:
    """Return the minute in an EndToEndId, None if there is no such minute.

    >>> minute_of("E12345678202611201432a1b2c3d4e5f")
    datetime.datetime(2026, 11, 20, 14, 32, tzinfo=datetime.timezone.utc)
    """
    return _minute(end_to_end_id[9:21])


@lru_cache(maxsize=1024)  # the Pix of a batch were initiated within a few minutes
def _minute(digits: str) -> dt.datetime | None:
    if len(digits) != len("yyyyMMddHHmm") or not (digits.isascii() and digits.isdecimal()):
        return None
    year, rest = int(digits[:4]), int(digits[4:])
    try:  # by arithmetic: strptime is several times as slow
        return dt.datetime(year, rest // 1000000, rest // 10000 % 100, rest // 100 % 100, rest % 100, tzinfo=dt.UTC)
    except ValueError:
        return None
