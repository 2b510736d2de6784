"""Mutate a valid delivery: a field, the JSON around it, base64, the envelope, or any byte."""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections.abc import Callable
from typing import Any

from tests.builders import encoded, med_report, outcome, push_body, transaction

Mutate = Callable[[bytes, random.Random], bytes]
"""Mutates raw bytes."""

MAX_BODY = 200_000
FUNCTIONS = 3
"""Score (0), label (1) and outcome (2)."""
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0, 0.1),
    *("", " ", "\n", "\x00", "a\n", "\ud800", "ÿ", "\U0001d538", "0", "-1", "NaN", "1e5", "x" * 78, "x" * 5_000),
    *("150.00", "0.00", "0.001", "9999999999999.99", "1.", ".1", "+1", "\u0661", "150.00\n"),
    *("2026-11-20T14:32:05Z", "2026-11-20T14:32:05", "2026-11-20T14:32:60Z", "2026-02-30T00:00:00Z"),
    *("0001-01-01T00:00:00Z", "1970-01-01T00:00:00-23:59", "9999-12-31T23:59:59.999999Z", "2026-11-20", "0001-01-01"),
    *("E12345678202611201432a1b2c3d4e5f", "D12345678000011201432a1b2c3d4e5f", "E12345678202602301432a1b2c3d4e5f"),
    *("SETTLED", "REJECTED", "RETURNED", "BLOCKED", "PAYER", "PAYEE", "AB03"),
    *("MED", "ANALYST", "FRAUD", "LEGITIMATE", "PENDING", "CLOSED", "OPEN", "AGREED", "DISAGREED", "SCAM", "EVP"),
    *([], {}, [[]], [None], {"": None}, {"d90": 1, "m12": 2, "m60": 3}, {"id": "d", "registered_at": None}),
]

_TIMES = [
    "2026-11-20T14:32:05Z",
    "2026-11-20T11:32:05.123456789-03:00",
    "1970-01-01T00:00:01Z",
    "2021-01-01T00:00:00Z",
]
_DAYS = ["00010101", "19991231", "20000101", "20240229", "29991231", "30000101", "99991231"]
_DATES = ["2026-11-20", "1900-01-01", "2099-12-31"]
_COUNTS = [0, 1, 2**31, 2**53, {"d90": 3, "m12": 9, "m60": 9}]
FITTING: dict[str, list[Any]] = {
    "end_to_end_id": [
        *(f"{kind}1234567820261120143{n:012x}" for kind in "ED" for n in range(40)),
        *(f"E12345678{day}12001a2b3c4d5e6" for day in _DAYS),
    ],
    "initiated_at": _TIMES,
    "reported_at": _TIMES,
    "at": _TIMES,
    "side": ["PAYER", "PAYEE"],
    "return_id": [f"D1234567820261120143{n:012x}" for n in range(4)],
    "registered_at": [*_TIMES, None],
    "opened_at": [*_DATES, None],
    "key_owned_since": [*_DATES, None],
    "amount": ["0.01", "1", "1.5", "150.00", "9999999999999.99", "1000000"],
    "initiation_form": ["MANU", "DICT", "INIC", "QRDN", "QRES", "AUTO", "APDN", "APES", "NEWF"],
    "purpose": ["IPAY", "GSCB", "OTHR", "REFU", "IPRT", "NEWP"],
    "account": [str(n) for n in range(8)],
    "branch": ["1", "ABC123", None],
    "account_type": ["CACC", "TRAN", "SLRY", "SVGS", "OTHR", "NEWA", None],
    "tax_id": ["12345678909", "12ABC34501DE35", None],
    "key": ["+5511999999999", "a@b.c", "x" * 77, "\u00e7", None],
    "key_type": ["CPF", "CNPJ", "PHONE", "EMAIL", "EVP", None],
    "d90": _COUNTS,
    "m12": _COUNTS,
    "open": _COUNTS,
    "settlements": [*_COUNTS, None],
    "registered_accounts": [*_COUNTS, None],
    "status": [
        *("OPEN", "ACKNOWLEDGED", "CLOSED", "CANCELLED", "CONTESTED", "WITHDRAWN", "REGISTERED", "COMPLETED"),
        *("SETTLED", "REJECTED", "EXPIRED", "RETURNED", "BLOCKED", "RELEASED"),
    ],
    "hop": [1, 2, 5, 101],
    "reason": ["REFUND_REQUEST", "REFUND_CANCELLED", "AB03", "BE08", "FR01", None],
    "result": ["TOTAL", "REJECTED", "NEWR", None],
    "rejection": ["NO_BALANCE", "NEWR", None],
    "shown_because": ["CONTROL", "NEWS", None],
    "analysis_result": ["AGREED", "DISAGREED", None],
    "verdict": ["FRAUD", "LEGITIMATE"],
    "device": [{"id": "d", "registered_at": None}, {"id": "e"}, None],
    "publishTime": [*_TIMES, None],
    "messageId": ["", "7" * 200],
}
"""Valid and nearly valid values, by field name."""


def seeds() -> list[tuple[int, bytes]]:
    """Return valid deliveries of all topics, each with the number of its function."""
    complete = transaction()
    least = {name: complete[name] for name in ("end_to_end_id", "initiated_at", "amount", "initiation_form")}
    least["payer"] = {name: complete["payer"][name] for name in ("tax_id", "ispb", "account")}
    least["payee"] = {name: complete["payee"][name] for name in ("ispb", "account")}
    analyst = {"source": "ANALYST", "report_id": "r-2", "end_to_end_id": complete["end_to_end_id"]}
    analyst |= {"reported_at": "2026-11-20T10:00:00Z", "verdict": "LEGITIMATE"}
    report = med_report(complete["end_to_end_id"], reported_at="2026-11-20T10:00:00Z")
    reports = [analyst, report, report | {"status": "OPEN", "analysis_result": None}, *_around(report)]
    about = complete["end_to_end_id"]
    returned = {"return_id": "D87654321202611211000a1b2c3d4e5f", "amount": "50.00"}
    outcomes = [
        *(outcome(about), outcome(about, status="REJECTED", reason="AB03"), outcome(about, "RETURNED", **returned)),
        *(outcome(about, status, side="PAYEE") for status in ("BLOCKED", "RELEASED")),
    ]
    found = [(0, message) for message in (complete, least)] + [(1, message) for message in reports]
    found += [(2, message) for message in outcomes]
    return [(function, push_body(encoded(message))) for function, message in found]


def _around(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a report of a later hop, and one message of each other kind of feedback."""
    pix, common = report["end_to_end_id"], {name: report[name] for name in ("report_id", "reported_at")}
    recovery = {"funds_recovery_id": "f", "root_end_to_end_id": pix, "hop": 2, "infraction_amount": "80.00"}
    marker = {"tax_id": "12345678909", "key": "a@b.c", "status": "REGISTERED", "infraction_report_id": "r"}
    refund = {"end_to_end_id": pix, "status": "CLOSED", "result": "PARTIAL", "amount": "80.00", "rejection": None}
    graph = [{"end_to_end_id": pix, "hop": 1, "amount": "150.00"}]
    return [
        report | recovery | {"reason": "REFUND_REQUEST", "created_at": report["reported_at"]},
        {"source": "CUSTOMER", "end_to_end_id": pix, "status": "CONTESTED", **common},
        {"source": "FRAUD_MARKER", **marker, **common},
        {"source": "REFUND", **refund, **common},
        {"source": "FUNDS_RECOVERY", "root_end_to_end_id": pix, "status": "TRACKED", "graph": graph, **common},
    ]


def mutated(body: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    """Mutate a body one to three times; most results are deliveries that can be decoded."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        body = _layer(body, chance, mutate)
    return body[:MAX_BODY]


def _layer(body: bytes, chance: random.Random, mutate: Mutate) -> bytes:
    envelope = _parsed(body)
    data = _data(envelope)
    kind = chance.random()
    if data is None or kind < 0.03:
        return mutate(body, chance)
    if kind < 0.08:
        return _dumped(_changed(envelope, chance))
    if kind < 0.10:
        envelope["message"]["data"] = chance.choice(["", "=", "a", "!!!!", base64.b64encode(data).decode()[:-1], 7])
        return _dumped(envelope)
    message = _parsed(data)
    fresh = mutate(data, chance) if message is None or kind < 0.15 else _dumped(_changed(message, chance))
    envelope["message"]["data"] = base64.b64encode(fresh[:MAX_BODY]).decode()
    return _dumped(envelope)


def plain(data: bytes, chance: random.Random) -> bytes:
    """Mutate bytes without a fuzzer: overwrite, cut, repeat or insert."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randint(1, 12))
    middle = chance.choice(
        [chance.randbytes(end - at), b"", data[at:end] * 3, b"{" * 3_000, b"\xff\xfe", b"\\ud800", b'"', b"1e999"]
    )
    return data[:at] + middle + data[end:]


def _changed(value: Any, chance: random.Random) -> Any:
    """Change one value of a JSON document, found by a random descent."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(list(value))
        return _changed_field(dict(value), name, chance)
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    if isinstance(value, str) and value and chance.random() < 0.5:
        return plain(value.encode("utf-8", "surrogatepass"), chance).decode("utf-8", "replace")
    return chance.choice(ODD)


def _changed_field(value: dict[str, Any], name: str, chance: random.Random) -> dict[str, Any]:
    way = chance.random()
    if name in FITTING and way < 0.6:
        value[name] = chance.choice(FITTING[name])
    elif way < 0.1:
        del value[name]
    elif way < 0.2:
        value[chance.choice(["x", name + "x", name.upper(), ""])] = chance.choice(ODD)
    elif way < 0.25:
        value[chance.choice(list(value))] = value[name]
    else:
        value[name] = _changed(value[name], chance)
    return value


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _data(envelope: Any) -> bytes | None:
    """Return the decoded data of an envelope, None if it is not one."""
    message = envelope.get("message") if isinstance(envelope, dict) else None
    text = message.get("data") if isinstance(message, dict) else None
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
