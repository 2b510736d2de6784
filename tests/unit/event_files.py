"""Event files by the way in which people get them wrong, for the demo and for a replay."""

from __future__ import annotations

import gzip
from typing import NamedTuple

from tests.builders import encoded, med_report, transaction

FRAUD = "E12345678202611201432a1b2c3d4e00"


def pix(at: str, **changes: object) -> bytes:
    """Return the line of a transaction initiated at a time, whose minute makes its id."""
    own = {"end_to_end_id": f"{FRAUD[:-2]}{at[14:16]}", **changes}
    return b'{"topic": "pix-transactions", "data": ' + encoded(transaction(initiated_at=at, **own)) + b"}\n"


def report(at: str) -> bytes:
    """Return the line of a report made at a time."""
    return b'{"topic": "pix-feedback", "data": ' + encoded(med_report(FRAUD, reported_at=at)) + b"}\n"


def stream(year: int = 2026, count: int = 40) -> list[bytes]:
    """Return transactions of a day, one a minute, with a report after each tenth."""
    times = [f"{year}-11-20T10:{minute:02d}:00Z" for minute in range(count)]
    return [line for n, at in enumerate(times) for line in ([pix(at), report(at)] if n % 10 == 9 else [pix(at)])]


STREAM = stream()
PLAIN = b"".join(STREAM)
EARLIEST_ID = "E12345678200001010000a1b2c3d4e5f"


class Case(NamedTuple):
    """A file, and its outcome: the line about it if it is refused or sorted, empty if it is just read."""

    content: bytes
    answer: str = ""
    transactions: int = 40
    repeated: int = 0
    """Transactions among them that repeat another."""


READ = {
    "as documented": Case(PLAIN),
    "byte order mark": Case(b"\xef\xbb\xbf" + PLAIN),
    "CRLF": Case(PLAIN.replace(b"\n", b"\r\n")),
    "no line end at the end": Case(PLAIN.rstrip()),
    "gzip": Case(gzip.compress(PLAIN)),
    "unsorted": Case(b"".join(reversed(STREAM)), "by time: 42 of 44 lines were out of order"),
    "two files appended": Case(PLAIN + PLAIN, "by time: 42 of 88 lines were out of order", 80, 40),
    "ids twice": Case(b"".join(line for line in STREAM for _ in range(2)), transactions=80, repeated=40),
    "years ahead": Case(b"".join(stream(2031))),
    "years back": Case(b"".join(stream(2001))),
    "a message without its time": Case(PLAIN + b'{"topic": "pix-transactions", "data": {}}\n', transactions=41),
    "a message that is not an object": Case(PLAIN + b'{"topic": "pix-transactions", "data": 5}\n', transactions=41),
}
REFUSED = {
    "UTF-16": Case(PLAIN.decode().encode("utf-16"), "line 1 .*UTF-16"),
    "gzip cut off": Case(gzip.compress(PLAIN)[:-4], "cut off or damaged after line 44"),
    "bytes after gzip": Case(gzip.compress(PLAIN) + b"more", "damaged after line 44: Not a gzipped file"),
    "another topic": Case(PLAIN + b'{"topic": "pix-transfers", "data": {}}', "line 45 names none of"),
    "a list": Case(b"[" + b",".join(STREAM) + b"]", "line 1 is not"),
    "a table": Case(b"end_to_end_id;amount\n" + PLAIN, "line 1 is not"),
    "cut off in a line": Case(PLAIN[:-9], "line 44 is not"),
    "zeros at the end": Case(PLAIN + bytes(4096), "line 45 is not"),
}
"""Refused by the demo and by a replay."""
