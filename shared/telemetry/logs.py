"""Structured logs: one JSON object a line, in the fields that Cloud Logging reads.

Pass details as `extra={"fields": {...}}`; they become fields beside `message`. They never hold personal data.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import msgspec

from shared.errors import PixError

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-")


class JsonFormatter(logging.Formatter):
    """Format a record as one line of JSON.

    An exception is logged by type and stack; by text too if it is a PixError, which never holds personal data.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
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


def trace(env: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the field that links a line to its request in Cloud Logging; empty if the request has no trace.

    Source: W3C Trace Context, `traceparent`; Cloud Logging, special fields of structured logs.

    >>> trace({"GOOGLE_CLOUD_PROJECT": "bank"}, {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    {'logging.googleapis.com/trace': 'projects/bank/traces/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
    """
    found = _TRACEPARENT.match(headers.get("traceparent", ""))
    project = env.get("GOOGLE_CLOUD_PROJECT")
    if not found or not project:
        return {}
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{found.group(1)}"}


def configure(level: int = logging.INFO) -> None:
    """Send this process's logs to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
