"""Messages for tests: valid by default, with changes by name."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

_ids = itertools.count()


def transaction(**changes: Any) -> dict[str, Any]:
    """Return a valid `pix-transactions` message with its own id; `payer__tax_id` changes a field of the payer."""
    message: dict[str, Any] = {
        "end_to_end_id": f"E12345678202611201432{next(_ids):011d}",
        "initiated_at": "2026-11-20T14:32:05.123Z",
        "amount": "150.00",
        "initiation_form": "DICT",
        "purpose": "IPAY",
        "payer": {
            "tax_id": "12345678909",
            "ispb": "12345678",
            "branch": "0001",
            "account": "1234567",
            "account_type": "CACC",
            "opened_at": "2019-05-01",
        },
        "payee": {
            "tax_id": "98765432100",
            "ispb": "87654321",
            "branch": "0001",
            "account": "7654321",
            "account_type": "TRAN",
            "opened_at": "2026-11-01",
            "key": "+5511999999999",
            "key_type": "PHONE",
            "key_owned_since": "2026-11-02",
        },
        "device": {"id": "device-1", "registered_at": "2024-01-02T00:00:00Z"},
        "payee_statistics": {
            "watermark": "2026-11-20T00:00:00Z",
            "settlements": {"d90": 3, "m12": 9, "m60": 9},
            "fraud_markers": {"mule_accounts": {"d90": 0, "m12": 0, "m60": 0}},
            "infraction_reports": {"open": 0, "rejected": {"d90": 0, "m12": 0, "m60": 0}},
            "registered_accounts": 2,
        },
    }
    return _changed(message, changes)


def med_report(end_to_end_id: str, **changes: Any) -> dict[str, Any]:
    """Return a closed and agreed infraction report about a Pix."""
    message = {
        "source": "MED",
        "report_id": "2f8d0d34-3bd1-4b3b-8c38-8f8b52b7a001",
        "end_to_end_id": end_to_end_id,
        "reported_at": "2026-11-22T10:00:00Z",
        "status": "CLOSED",
        "analysis_result": "AGREED",
        "situation_type": "SCAM",
        "fraud_type": "MULE_ACCOUNT",
    }
    return _changed(message, changes)


def outcome(end_to_end_id: str, status: str = "SETTLED", **changes: Any) -> dict[str, Any]:
    """Return an outcome of a Pix, without the fields that its status may need."""
    message = {"end_to_end_id": end_to_end_id, "status": status, "at": "2026-11-20T14:32:09Z"}
    return _changed(message, changes)


def encoded(message: Any) -> bytes:
    """Return the JSON of a message."""
    return json.dumps(message).encode()


def push_body(data: bytes, message_id: str = "1", attempt: int | None = None) -> bytes:
    """Return the body of a push delivery."""
    return encoded(
        {
            "message": {
                "data": base64.b64encode(data).decode(),
                "messageId": message_id,
                "message_id": message_id,
                "publishTime": "2026-11-20T14:32:05.500Z",
                "publish_time": "2026-11-20T14:32:05.500Z",
            },
            "subscription": "projects/test/subscriptions/score",
            **({} if attempt is None else {"deliveryAttempt": attempt}),
        }
    )


def _changed(message: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        *path, last = name.split("__")
        target = message
        for step in path:
            target = target[step]
        target[last] = value
    return message
