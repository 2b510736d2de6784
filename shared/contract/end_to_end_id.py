"""The minute in an EndToEndId."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

MINUTE = slice(9, 21)
"""The part of an EndToEndId that is its minute, yyyyMMddHHmm in UTC: as texts, earlier minutes come first."""


def minute_text(at: int) -> str:
    """Return the minute of a time in microseconds since the epoch, as in an EndToEndId.

    >>> minute_text(1_795_185_126_000_000)
    '202611201432'
    """
    return dt.datetime.fromtimestamp(at // 1_000_000, dt.UTC).strftime("%Y%m%d%H%M")


def minute_of(end_to_end_id: str) -> dt.datetime | None:
    """Return the minute in an EndToEndId, None if there is no such minute.

    >>> minute_of("E12345678202611201432a1b2c3d4e5f")
    datetime.datetime(2026, 11, 20, 14, 32, tzinfo=datetime.timezone.utc)
    """
    return _minute(end_to_end_id[MINUTE])


@lru_cache(maxsize=1024)  # the Pix of a batch were initiated within a few minutes
def _minute(digits: str) -> dt.datetime | None:
    if len(digits) != len("yyyyMMddHHmm") or not (digits.isascii() and digits.isdecimal()):
        return None
    year, rest = int(digits[:4]), int(digits[4:])
    try:  # by arithmetic: strptime is several times as slow
        return dt.datetime(year, rest // 1000000, rest // 10000 % 100, rest // 100 % 100, rest % 100, tzinfo=dt.UTC)
    except ValueError:
        return None
