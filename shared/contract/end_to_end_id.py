"""The minute in an EndToEndId."""

from __future__ import annotations

import datetime as dt


def minute_of(end_to_end_id: str) -> dt.datetime | None:
    """Return the minute in an EndToEndId, None if there is no such minute.

    >>> minute_of("E12345678202611201432a1b2c3d4e5f")
    datetime.datetime(2026, 11, 20, 14, 32, tzinfo=datetime.timezone.utc)
    """
    try:
        return dt.datetime.strptime(end_to_end_id[9:21], "%Y%m%d%H%M").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
