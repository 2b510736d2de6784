"""Structured logs: one JSON object a line, in the fields that Cloud Logging reads.

Give details as `extra={"fields": {...}}`; they stand beside the message. They never hold personal data.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
import traceback

import msgspec

from shared.errors import PixError


class JsonFormatter(logging.Formatter):
    """Format a record as one line of JSON.

    Exceptions are given by type and place; their text only if they are our own, which never hold personal data.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry = {
            "severity": record.levelname,
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(),
            "message": record.getMessage(),
            "logger": record.name,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            entry["exception"] = record.exc_info[0].__name__
            if isinstance(record.exc_info[1], PixError):
                entry["reason"] = str(record.exc_info[1])
            entry["stack"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])]
        return msgspec.json.encode(entry, enc_hook=str).decode()


def configure(level: int = logging.INFO) -> None:
    """Send this process's logs to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
