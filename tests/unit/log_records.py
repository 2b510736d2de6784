"""Fields of log records."""

from __future__ import annotations

import logging
from typing import Any


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that were logged with a record's message."""
    found: dict[str, Any] = vars(record)["fields"]
    return found
